"""Quantised weights, and pointers in place of files, are refused as what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small import HF_CONFIG

from lmkernel.checkpoints.directory import open_model, write_directory
from lmkernel.checkpoints.json_files import read_object
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS = {"model.norm.weight": np.ones(24, np.float32)}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4" * 64 + b"\nsize 99\n"


def write(folder: Path, tensors: dict[str, np.ndarray] | None = None, **config: Any) -> Path:
    write_directory(folder, config={**HF_CONFIG, **config}, tensors=(tensors or WEIGHTS).items())
    return folder


@pytest.mark.parametrize(
    ("change", "method"),
    [
        ({"quantization_config": {"quant_method": "awq", "bits": 8}}, "awq to 8 bits"),
        (
            {"quantization_config": {"quant_method": "awq", "bits": 4, "version": "gemv"}},
            "awq to 4 bits",
        ),
        ({"quantization_config": {"quant_method": "gptq", "bits": 3}}, "gptq to 3 bits"),
        ({"quantization_config": {"quant_method": "hqq", "nbits": 4}}, "hqq to 4 bits"),
        ({"quantization_config": {"quant_method": "torchao"}}, "torchao"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "bitsandbytes"),
        ({"quantization_config": {"quant_method": "mxfp4"}}, "mxfp4"),
        ({"quantization_config": "aqlm"}, "aqlm"),
        ({"quantization_config": {"w_bit": 3}}, "a method without a name to 3 bits"),
        (
            {"quantization_config": {"quant_method": "compressed-tensors", "format": "marlin-24"}},
            "compressed-tensors (marlin-24)",
        ),
        (
            {"compression_config": {"format": "pack-quantized"}},
            "compressed-tensors (pack-quantized)",
        ),
        ({"quantization": {"group_size": 64, "bits": 4}}, "MLX to 4 bits"),
    ],
)
def test_a_configuration_of_quantised_weights_is_refused(
    tmp_path: Path, change: dict[str, Any], method: str
) -> None:
    folder = write(tmp_path / "m", **change)
    with pytest.raises(CheckpointError) as caught:
        open_model(folder)
    [key] = change
    assert f"{folder / 'config.json'}: {key}: expected weights" in str(caught.value)
    assert str(caught.value).endswith(f"quantised by {method}")


@pytest.mark.parametrize("nothing", [None, {}])
def test_a_configuration_that_says_nothing_of_it_is_read(tmp_path: Path, nothing: object) -> None:
    assert open_model(write(tmp_path / "m", quantization_config=nothing)).tensors.names()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "model.gguf"])
def test_a_pointer_of_git_lfs_is_named_as_one(tmp_path: Path, name: str) -> None:
    place = write(tmp_path / "m") / name
    place.write_bytes(POINTER)
    with pytest.raises(CheckpointError) as caught:
        open_model(place if name.endswith(".gguf") else place.parent)
    assert str(caught.value).startswith(f"{place}: this is a pointer of git-lfs")


def test_other_json_files_that_are_pointers_too(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_bytes(POINTER)
    with pytest.raises(CheckpointError, match="pointer of git-lfs"):
        read_object(tmp_path / "tokenizer_config.json", required=False)
