"""The kinds of RoPE that transformers' Phi-3 has, beside ours: the same, or refused by both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from letters import letters
from transformers import Phi3Config, Phi3ForCausalLM

import lmkernel as lk
from lmkernel.errors import CheckpointError
from lmkernel.families.family import HfConfig, find_family

if TYPE_CHECKING:
    from pathlib import Path

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "max_position_embeddings": 64,
    "original_max_position_embeddings": 32,
    "initializer_range": 0.4,
    "pad_token_id": 0,
}
LISTS = {"short_factor": [1.0, 1.5, 1.0, 2.0], "long_factor": [2.0, 3.0, 4.0, 5.0]}
RAMP = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}


@pytest.mark.parametrize("count", [20, 50])
def test_yarn_is_computed_as_longrope(count: int, tmp_path: Path) -> None:
    torch.manual_seed(4)
    model = Phi3ForCausalLM(Phi3Config(**SIZES, rope_scaling={"type": "yarn", **LISTS})).eval()
    model.save_pretrained(tmp_path)
    letters().save(tmp_path)
    ids = np.random.default_rng(1).integers(1, 64, count).tolist()
    with torch.inference_mode():
        expected = model(torch.tensor([ids])).logits[0].numpy()
    got = lk.load(tmp_path, backend="numpy").logits(ids)
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["linear", "dynamic", "llama3", "yarn"])
def test_what_its_class_refuses_is_refused(kind: str) -> None:
    table = {"rope_type": kind, "factor": 2.0, **RAMP}
    with pytest.raises(Exception, match="longrope"):  # its errors have several classes
        Phi3Config(**SIZES, rope_scaling=dict(table))
    with pytest.raises(CheckpointError, match="rope_scaling: "):
        find_family("phi3", "a test").read(HfConfig({**SIZES, "rope_scaling": table}))
