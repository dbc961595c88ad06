"""Checkpoints of quantised weights: their numbers bit for bit, and the same held as codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest
from quantised_samples import METHODS, float8_blocks, write_quantised
from safetensors.numpy import save_file

import lmkernel
from lmkernel.checkpoints import open_model
from lmkernel.checkpoints.methods.float8 import Fp8
from lmkernel.checkpoints.safetensors import SafetensorsFile
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

IDS = [5, 17, 40, 3, 60]


@pytest.mark.parametrize("method", METHODS)
def test_numbers_are_those_of_the_layout(tmp_path: Path, method: str) -> None:
    expected = write_quantised(tmp_path, method)
    tensors = open_model(tmp_path).tensors
    assert set(tensors.names()) == set(expected)
    for name, numbers in expected.items():
        assert tensors.shape(name) == numbers.shape
        found = tensors.read(name)
        np.testing.assert_array_equal(found.view(np.uint32), numbers.view(np.uint32))
        assert tensors.dtype(name) == "float32"


@pytest.mark.parametrize("method", METHODS)
def test_codes_answer_as_their_numbers(tmp_path: Path, method: str) -> None:
    write_quantised(tmp_path, method)
    plain = lmkernel.load(tmp_path, backend="numpy", progress=False)
    held = lmkernel.load(tmp_path, backend="numpy", progress=False, weights="stored")
    expected = plain.logits(IDS)
    # compiled products of few bits, where Numba is installed, sum in another order
    np.testing.assert_allclose(held.logits(IDS), expected, rtol=0, atol=2e-5 * abs(expected).max())
    assert held.holding is not None
    kind = METHODS[method][2]
    assert held.holding.kinds == ({kind} if kind else set())
    few = held.describe().weight_bytes / plain.describe().weight_bytes
    assert few < 0.6 if kind else few == 1


def test_a_saved_model_has_numbers_and_says_so(tmp_path: Path) -> None:
    numbers = write_quantised(tmp_path, "gptq")
    files = open_model(tmp_path)
    assert "quantization_config" not in files.config
    assert files.tensors.read("model.layers.0.mlp.up_proj.weight").dtype == np.float32
    assert len(numbers) == len(files.tensors.names())


@pytest.mark.parametrize(
    ("method", "change"),
    [
        ("gptq", {"bits": 8}),
        ("gptq", {"bits": 4, "group": "scales"}),
        ("awq", {"group": "qzeros"}),
        ("float8 blocks", {"group": "weight_scale_inv"}),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    tmp_path: Path, method: str, change: dict[str, object]
) -> None:
    """Another number of bits than the tensors', or scales for other groups."""
    write_quantised(tmp_path, method)
    if end := change.get("group"):
        place = tmp_path / "model.safetensors"
        data = place.read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        for name, entry in header.items():
            if name.endswith(f"up_proj.{end}"):
                entry["shape"] = [int(np.prod(entry["shape"]))]
        text = json.dumps(header).encode()
        place.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    else:
        config = json.loads((tmp_path / "config.json").read_text())
        config["quantization_config"] |= change
        (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"_proj|expects the shape|config.json"):
        lmkernel.load(tmp_path, backend="numpy", progress=False)


@pytest.mark.parametrize("method", METHODS)
def test_numbers_are_not_taken_for_the_weights_of_a_method(tmp_path: Path, method: str) -> None:
    """A configuration that says more than the tensors hold."""
    numbers = write_quantised(tmp_path, method)
    save_file(dict(numbers), tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"config\.json: expected weights that are quantised"):
        open_model(tmp_path)


def _say(folder: Path, method: str, **change: object) -> None:
    """Write a checkpoint whose configuration says something else of how it is quantised."""
    write_quantised(folder, method)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] |= change
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "block", [[32, 64], [64, 32], [128, 128], [1 << 31, 1 << 31], [10**30, 32]]
)
def test_blocks_that_do_not_fit_the_scales_are_refused(tmp_path: Path, block: list[int]) -> None:
    _say(tmp_path, "float8 blocks", weight_block_size=block)
    expected = (
        rf"config\.json: .*q_proj: weight_block_size: expected scales \({-(-96 // block[0])}, "
    )
    with pytest.raises(CheckpointError, match=expected + r".*got \(3, 2\)"):
        lmkernel.load(tmp_path, backend="numpy", progress=False)


@pytest.mark.parametrize(
    "block", [[32, 0], [-1, 32], [], [32], [32, 32, 32], [32.0, 32], [True, 32], {"a": 1}, "33", 0]
)
def test_what_is_no_size_of_a_block_is_refused(tmp_path: Path, block: object) -> None:
    _say(tmp_path, "float8 blocks", weight_block_size=block)
    with pytest.raises(
        CheckpointError, match=r"config\.json: quantization_config\.weight_block_size: expected two"
    ):
        open_model(tmp_path)


def test_a_block_may_be_larger_than_the_weight(tmp_path: Path) -> None:
    """As in transformers, which cuts repeated scales; nothing of the block's size is made."""
    codes = np.arange(0x38, 0x3E, dtype=np.uint8).reshape(2, 3)  # 1, 1.125, … in E4M3
    tensors = {
        "m.weight": codes.view(ml_dtypes.float8_e4m3fn),
        "m.weight_scale_inv": np.array([[2]], np.float32),
    }
    save_file(tensors, tmp_path / "m.safetensors")
    file = SafetensorsFile(tmp_path / "m.safetensors")
    found = Fp8(file, {"weight_block_size": [10**30, 1 << 40]}).read("m").numbers()
    np.testing.assert_array_equal(found, [[2, 2.25, 2.5], [2.75, 3, 3.25]])


def _fp8(folder: Path, said: dict[str, object], **tensors: np.ndarray) -> np.ndarray:
    """The numbers of the module ``m``, of whose tensors the ends of the names are given."""
    save_file({f"m.{end}": value for end, value in tensors.items()}, folder / "m.safetensors")
    return Fp8(SafetensorsFile(folder / "m.safetensors"), said).read("m").numbers()


@pytest.mark.parametrize("shape", [(200, 300), (2, 500), (1, 200), (128, 128), (5, 3), (300, 1)])
def test_blocks_of_no_size_are_of_128(tmp_path: Path, shape: tuple[int, int]) -> None:
    """As in transformers, whose class has (128, 128) where the key is not there."""
    weight = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    tensors, expected = float8_blocks(weight, 128)
    np.testing.assert_array_equal(_fp8(tmp_path, {"quant_method": "fp8"}, **tensors), expected)


@pytest.mark.parametrize("said", [{}, {"weight_block_size": None}])
@pytest.mark.parametrize("scales", [(), (1,), (1, 1), (4,), (4, 1)])
def test_scales_for_all_and_for_rows_need_no_block(
    tmp_path: Path, said: dict[str, object], scales: tuple[int, ...]
) -> None:
    codes = np.full((4, 256), 0x38, np.uint8).view(ml_dtypes.float8_e4m3fn)  # 1 in E4M3
    values = np.arange(1, np.prod(scales, dtype=int) + 1).astype(np.float32).reshape(scales)
    found = _fp8(tmp_path, said, weight=codes, weight_scale_inv=values)
    expected = np.broadcast_to(values.reshape(-1, 1), (4, 256))
    np.testing.assert_array_equal(found, expected)


def test_scales_of_blocks_are_not_those_of_rows(tmp_path: Path) -> None:
    codes = np.zeros((2, 512), np.uint8).view(ml_dtypes.float8_e4m3fn)
    with pytest.raises(ValueError, match=r"one of all, or of each of 2 rows, got \(1, 4\)"):
        _fp8(
            tmp_path,
            {"weight_block_size": None},
            weight=codes,
            weight_scale_inv=np.ones((1, 4), np.float32),
        )


@pytest.mark.parametrize("kind", [np.uint8, ml_dtypes.float8_e8m0fnu])
def test_a_byte_of_a_scale_is_a_power_of_two(tmp_path: Path, kind: type) -> None:
    codes = np.full((256, 2), 0x38, np.uint8).view(ml_dtypes.float8_e4m3fn)
    bits = np.arange(256, dtype=np.uint8)
    found = _fp8(
        tmp_path, {"weight_block_size": [1, 2]}, weight=codes, weight_scale=bits[:, None].view(kind)
    )
    expected = bits.view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
    np.testing.assert_array_equal(found, np.repeat(expected[:, None], 2, 1))


def test_whole_numbers_are_no_scales(tmp_path: Path) -> None:
    codes = np.zeros((2, 2), np.uint8).view(ml_dtypes.float8_e4m3fn)
    with pytest.raises(CheckpointError, match=r"'m\.weight_scale_inv': expected .* got int8"):
        _fp8(tmp_path, {}, weight=codes, weight_scale_inv=np.ones((1, 1), np.int8))


def test_a_scale_of_activations_is_none_of_weights(tmp_path: Path) -> None:
    """Transformers takes the codes themselves for numbers there."""
    codes = np.zeros((2, 2), np.uint8).view(ml_dtypes.float8_e4m3fn)
    tensors = {"m.weight": codes, "m.input_scale": np.ones(1, np.float32)}
    save_file(tensors, tmp_path / "m.safetensors")
    assert not Fp8(SafetensorsFile(tmp_path / "m.safetensors"), {}).holds("m", "weight")


@pytest.mark.parametrize(
    "sparsity", ["dense", ["x"], 1, {"format": "sparse-24"}, {"format": ["x"]}]
)
def test_a_sparsity_that_is_none_of_dense_weights_is_refused(
    tmp_path: Path, sparsity: object
) -> None:
    _say(tmp_path, "packed", sparsity_config=sparsity)
    with pytest.raises(
        CheckpointError,
        match=r"config\.json: quantization_config\.sparsity_config: expected nothing",
    ):
        open_model(tmp_path)


@pytest.mark.parametrize("sparsity", [None, {}, {"format": "dense"}])
def test_a_sparsity_of_dense_weights_is_none(tmp_path: Path, sparsity: object) -> None:
    _say(tmp_path, "packed", sparsity_config=sparsity)
    assert open_model(tmp_path).tensors.shape("model.layers.0.self_attn.q_proj.weight") == (96, 64)


@pytest.mark.parametrize("bits", [[[4]], [{}], [3], [True], ["4"], [None], [4, 8], [4, [4]], []])
def test_other_numbers_of_bits_of_groups_are_refused(tmp_path: Path, bits: list[object]) -> None:
    groups = {f"group_{i}": {"weights": {"num_bits": width}} for i, width in enumerate(bits)}
    _say(tmp_path, "packed", config_groups=groups)
    with pytest.raises(
        CheckpointError,
        match=r"config\.json: quantization_config\.config_groups: expected num_bits",
    ):
        open_model(tmp_path)
