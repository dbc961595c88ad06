"""GGUF files of each architecture beside transformers, which reads them by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import numpy as np
import pytest
import torch
import transformers
from gguf_samples import WIDTH, WORDS, weights, write_gguf

from lmkernel import load

if TYPE_CHECKING:
    from pathlib import Path


ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""Those of the small files; `test_gguf_families` has all of them beside their checkpoints."""
TOKENS = np.random.default_rng(3).integers(0, WORDS, (1, 9))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_equal(tmp_path: Path, architecture: str) -> None:
    scaled = {name: x * np.float32(0.3) for name, x in weights(architecture).items()}
    path = write_gguf(
        tmp_path / "x.gguf",
        architecture=architecture,
        tensors=scaled,
        kind=gguf.GGMLQuantizationType.Q8_0,
    )
    config = transformers.AutoConfig.from_pretrained(tmp_path, gguf_file=path.name)
    config.head_dim = WIDTH  # transformers takes it from no GGUF file, but from the family
    witness = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=path.name, config=config, dtype=torch.float32
    )
    assert type(witness).__name__ == f"{architecture.capitalize()}ForCausalLM"
    with torch.inference_mode():
        expected = witness(torch.tensor(TOKENS)).logits.numpy()
        exact = witness.double()(torch.tensor(TOKENS)).logits.numpy()
    got = np.asarray(load(path, backend="numpy").logits(TOKENS.tolist()))
    budget = 4 * np.abs(expected - exact).max() + 4 * np.spacing(np.float32(np.abs(exact).max()))
    error = np.abs(got - exact).max()
    assert error <= budget, f"{architecture}: expected {budget:.3g} at most, got {error:.3g}"
