"""Small random checkpoints of the Llama family: written by transformers and read here, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.families.llama import Llama
from lmkernel.families.names import to_ours
from lmkernel.loading import open_language_model

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = [[3, 1, 4, 1, 5, 9, 2, 6, 53, 58, 97, 93, 23]]
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tied": {"tie_word_embeddings": True},
    "biased": {"attention_bias": True, "mlp_bias": True},
    "llama3": {"rope_parameters": LLAMA3, "max_position_embeddings": 128},
    "wide heads": {"head_dim": 12, "num_key_value_heads": 1},
}


@pytest.fixture(params=sorted(VARIANTS))
def witness(request: pytest.FixtureRequest) -> Any:
    """A random model of transformers, with weights and biases that all matter."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(11)
    shape = {
        "hidden_size": 48,
        "intermediate_size": 80,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "vocab_size": 101,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-4,
    }
    model = LlamaForCausalLM(LlamaConfig(**{**shape, **VARIANTS[request.param]}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    return model.eval()


def logits_of(witness: Any) -> np.ndarray:
    import torch

    with torch.inference_mode():
        result: np.ndarray = witness(torch.tensor(TOKENS)).logits.numpy()
    return result


@pytest.mark.parametrize("backend", ["numpy", "torch", "tensorflow", "jax"])
def test_logits_equal(witness: Any, backend: str, tmp_path: Path) -> None:
    witness.save_pretrained(tmp_path, max_shard_size="60KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    got = open_language_model(tmp_path, load_backend(backend)).logits(TOKENS)
    expected = logits_of(witness)
    exact = logits_of(witness.double()).astype(np.float64)
    budget = 4 * np.abs(expected - exact).max() + 4 * np.spacing(np.abs(expected).max())
    assert np.abs(got - exact).max() <= budget


def test_what_is_written_opens_there(witness: Any, tmp_path: Path) -> None:
    from transformers import LlamaForCausalLM

    from lmkernel.checkpoints.directory import read_directory, write_directory
    from lmkernel.families.names import from_ours

    witness.save_pretrained(tmp_path / "theirs")
    loaded = open_language_model(tmp_path / "theirs", load_backend())
    model, family = loaded.model, Llama()
    rules = family.rules(model.config)
    values = to_ours(
        read_directory(tmp_path / "theirs").tensors,
        rules,
        model.declare(),
        where="theirs",
        ignored=family.ignored(model.config),
    )
    write_directory(
        tmp_path / "ours",
        config=family.write(model.config),
        tensors=from_ours(values, rules, model.declare()),
        shard_bytes=60_000,
    )
    again = LlamaForCausalLM.from_pretrained(tmp_path / "ours").eval()
    np.testing.assert_array_equal(logits_of(again), logits_of(witness))
