"""What `lmkernel quantize` writes, opened by transformers; what bitsandbytes packs, read here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bitsandbytes.functional as bnb
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from lmkernel import load, quantize
from lmkernel.checkpoints.methods.bitsandbytes import BitsAndBytes
from lmkernel.checkpoints.tensors import Tensors
from lmkernel.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIZES = {"width": 64, "layers": 2, "heads": 4, "context": 64, "vocab": 400, "batch": 4, "steps": 2}
IDS = [5, 17, 200, 3, 61]


@pytest.mark.parametrize("weights", ["int4", "int8", "int4,group=64"])
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_transformers_opens_what_is_written(tmp_path: Path, family: str, weights: str) -> None:
    sizes = [text for name, size in SIZES.items() for text in (f"--{name}", str(size))]
    first = tmp_path / "first"
    quiet = ("--quiet", "--backend", "torch")
    assert main(["pretrain", "--family", family, *sizes, "--out", str(first), *quiet]) == 0
    made = quantize(first / "model", tmp_path / "few", weights=weights, progress=False)
    theirs = AutoModelForCausalLM.from_pretrained(made.path)
    with torch.inference_mode():
        expected = theirs.eval()(torch.tensor([IDS])).logits[0].numpy()
    found = load(made, backend="numpy", progress=False, weights="stored").logits(IDS)
    # two float32 runs of one network; what is not read alike is off by a step of the codes
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


class _Made(Tensors):
    """Tensors by name."""

    def __init__(self, tensors: dict[str, NDArray[Any]]) -> None:
        self._tensors = tensors

    def names(self) -> tuple[str, ...]:
        return tuple(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._tensors[name].shape

    def dtype(self, name: str) -> str:
        return str(self._tensors[name].dtype)

    def read(self, name: str, dtype: str | None = None) -> NDArray[Any]:
        del dtype
        return self._tensors[name]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_blocks_of_bitsandbytes_have_its_numbers(*, kind: str, nested: bool) -> None:
    torch.manual_seed(3)
    weight = torch.randn(48, 128)
    packed, state = bnb.quantize_4bit(
        weight, quant_type=kind, compress_statistics=nested, blocksize=64
    )
    tensors = {f"m.weight.{end}": x.numpy() for end, x in state.as_dict(packed=True).items()}
    found = BitsAndBytes(_Made({"m.weight": packed.numpy(), **tensors}), {}).read("m").numbers()
    expected = bnb.dequantize_4bit(packed, state).float().numpy()
    # as numbers: of fp4's zeros bitsandbytes' kernels keep the sign on some processors only
    np.testing.assert_array_equal(found, expected)


def test_bytes_of_bitsandbytes_have_its_numbers() -> None:
    torch.manual_seed(4)
    codes, largest, _ = bnb.int8_vectorwise_quant(torch.randn(48, 72).half())
    made = _Made({"m.weight": codes.numpy(), "m.SCB": largest.numpy()})
    expected = bnb.int8_vectorwise_dequant(codes, largest).numpy()
    found = BitsAndBytes(made, {}).read("m").numbers()
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))
