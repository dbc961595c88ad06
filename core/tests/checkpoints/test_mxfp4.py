"""MXFP4 is read to the values that it stands for, and what does not fit is refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from lmkernel.checkpoints.directory import read_directory
from lmkernel.checkpoints.mxfp4 import dequantise
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

EVERY = np.arange(16, dtype=np.uint8)
HALF = [0, 0.5, 1, 1.5, 2, 3, 4, 6]


def test_every_code_has_its_value() -> None:
    """All sixteen in the lower halves of the bytes, zeros in the upper ones."""
    [row] = dequantise(EVERY.reshape(1, 1, 16), np.array([[127]], np.uint8), "x")
    assert row[::2].tolist() == [*HALF, *(-x for x in HALF)]
    assert row[1::2].tolist() == [0.0] * 16


def test_the_upper_half_of_a_byte_is_the_second_number() -> None:
    [row] = dequantise(EVERY.reshape(1, 1, 16) << 4, np.array([[127]], np.uint8), "x")
    assert row[1::2].tolist() == [*HALF, *(-x for x in HALF)]


@pytest.mark.parametrize("power", [0, 1, 100, 126, 130, 252])
def test_a_scale_is_a_power_of_two(power: int) -> None:
    [row] = dequantise(np.full((1, 1, 16), 0x11, np.uint8), np.array([[power]], np.uint8), "x")
    assert row.tolist() == [float(np.float64(2.0) ** (power - 128))] * 32


@pytest.mark.parametrize("power", [254, 255])
def test_a_scale_beyond_float32_is_refused(power: int) -> None:
    with pytest.raises(CheckpointError, match="x: expected finite numbers"):
        dequantise(np.full((1, 1, 16), 0x77, np.uint8), np.array([[power]], np.uint8), "x")


def _directory(folder: Path, **changes: Any) -> Path:
    tensors: dict[str, Any] = {
        "a.weight": np.ones((2, 3), np.float32),
        "b_blocks": np.full((2, 5, 3, 16), 0x21, np.uint8),
        "b_scales": np.full((2, 5, 3), 128, np.uint8),
        **changes,
    }
    kept = {name: value for name, value in tensors.items() if value is not None}
    save_file(kept, folder / "model.safetensors")
    config = '{"model_type": "gpt_oss", "quantization_config": {"quant_method": "mxfp4"}}'
    (folder / "config.json").write_text(config)
    return folder


def test_a_tensor_has_the_name_and_shape_of_what_it_stands_for(tmp_path: Path) -> None:
    files = read_directory(_directory(tmp_path))
    assert set(files.tensors.names()) == {"a.weight", "b"}
    assert "quantization_config" not in files.config
    assert files.tensors.shape("b") == (2, 96, 5)
    assert files.tensors.dtype("b") == "float32"
    expected = np.tile(np.array([1.0, 2.0], np.float32)[:, None], (2, 48, 5))
    np.testing.assert_array_equal(files.tensors.read("b"), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"b_scales": None}, "'b_scales' is missing"),
        ({"b_blocks": None}, "'b_blocks' is missing"),
        ({"b_scales": np.zeros((2, 4, 3), np.uint8)}, "'b_blocks': expected the shape"),
        ({"b_scales": np.zeros((2, 5, 3), np.float32)}, "'b_scales': expected bytes"),
    ],
)
def test_what_does_not_fit_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_directory(_directory(tmp_path, **changes))
