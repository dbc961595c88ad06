"""GPTQ's two formats of zeros: where codes are symmetric, the zeros themselves say which it is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from quantised_samples import gptq_symmetric
from safetensors.numpy import save_file

from lmkernel.checkpoints.quantised_tensors import open_quantised
from lmkernel.checkpoints.safetensors import SafetensorsFile

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND = "gptq", "gptq_v2"


def _read(folder: Path, bits: int, less: int, **said: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """What is read of two weights, what it should be, and how many warnings there are."""
    random, tensors, expected = np.random.default_rng(5), {}, []
    for module in ("a", "b"):
        weight = random.standard_normal((16, 32)).astype(np.float32)
        parts, numbers = gptq_symmetric(weight, bits, less)
        tensors |= {f"{module}.{e}": np.ascontiguousarray(part) for e, part in parts.items()}
        expected.append(numbers)
    save_file(tensors, folder / "model.safetensors")
    config = {"quantization_config": {"quant_method": "gptq", "bits": bits, **said}}
    file = SafetensorsFile(folder / "model.safetensors")
    opened = open_quantised(file, config, "config.json")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = [opened.read(f"{module}.weight") for module in ("a", "b")]
    stored = (1 << (bits - 1)) - less
    for warning in caught:
        text = str(warning.message)
        assert text.startswith("config.json: quantization_config.checkpoint_format: expected")
        assert f"got {stored} in 'a'" in text
    return np.stack(found), np.stack(expected), len(caught)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("label", [None, FIRST, SECOND])
@pytest.mark.parametrize("said", [{"sym": True}, {}])
@pytest.mark.parametrize("less", [0, 1])
def test_symmetric_zeros_go_before_the_format_that_is_named(
    tmp_path: Path, bits: int, label: str | None, said: dict[str, Any], less: int
) -> None:
    said = said if label is None else {**said, "checkpoint_format": label}
    found, expected, warned = _read(tmp_path, bits, less, **said)
    np.testing.assert_array_equal(found, expected)
    assert warned == (less == (label == SECOND))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("label", [FIRST, SECOND])
@pytest.mark.parametrize("less", [0, 1])
def test_where_codes_are_not_symmetric_the_format_is_believed(
    tmp_path: Path, bits: int, label: str, less: int
) -> None:
    found, expected, warned = _read(tmp_path, bits, less, sym=False, checkpoint_format=label)
    assert (found == expected).all() == (less == (label == FIRST))
    assert not warned
