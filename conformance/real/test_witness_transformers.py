"""The oracle's whole models against transformers' published code, both in float64 throughout.

Where transformers rounds to float32 on the way, whatever the dtype (rotary positions, RMS norms,
eager softmax), its name for float32 means float64 here: the formula is its own.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors.torch  # noqa: F401 - it makes its table of dtypes once, while each still has its name
import torch
import transformers

from lmkernel.backend import load_backend
from lmkernel.checkpoints.tensors import Tensors
from lmkernel.config import RotaryConfig
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import from_ours, to_ours
from lmkernel.model import Model
from lmkernel_conformance.oracle.arithmetic import Arithmetic
from lmkernel_conformance.oracle.model import forward
from lmkernel_conformance.oracle.positions import frequencies
from lmkernel_conformance.oracle.tape import gradient

if TYPE_CHECKING:
    from collections.abc import Iterator

VOCAB, TIME = 31, 7
LENGTHS = np.array([7, 4, 1])
REAL = np.arange(TIME) < LENGTHS[:, None]
RANDOM = np.random.default_rng(29)
TOKENS = np.where(REAL, RANDOM.integers(1, VOCAB, REAL.shape), 0)
SEGMENTS = np.where(REAL, np.arange(TIME) >= 2, 0)
POSITIONS = np.where(REAL, np.arange(TIME), -1)
GATED = {
    "vocab_size": VOCAB,
    "hidden_size": 24,
    "intermediate_size": 20,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
}
BERT = {
    "vocab_size": VOCAB,
    "hidden_size": 24,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "max_position_embeddings": 12,
    "layer_norm_eps": 1e-6,
}
GPT2 = {
    "vocab_size": VOCAB,
    "n_embd": 20,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 12,
    "n_inner": 28,
    "layer_norm_epsilon": 1e-4,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5e5,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
LINEAR = {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.5}
SLIDING = {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 0}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", {**GATED, "attention_bias": True, "mlp_bias": True}),
    "llama long": ("LlamaForCausalLM", {**GATED, "rope_parameters": LLAMA3}),
    "llama linear": (
        "LlamaForCausalLM",
        {**GATED, "rope_parameters": LINEAR, "tie_word_embeddings": True},
    ),
    "mistral": ("MistralForCausalLM", {**GATED, "sliding_window": 3, "head_dim": 6}),
    "qwen2": ("Qwen2ForCausalLM", {**GATED, **SLIDING}),
    "qwen3": ("Qwen3ForCausalLM", {**GATED, "head_dim": 6}),
    "gpt2": ("GPT2LMHeadModel", GPT2),
    "bert": ("BertForMaskedLM", BERT),
    "bert classes": ("BertForSequenceClassification", {**BERT, "num_labels": 5}),
}


@pytest.fixture
def _doubles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every mention of float32 means float64."""
    kept = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    for name in ("float32", "float"):
        monkeypatch.setattr(torch, name, torch.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    yield
    torch.set_default_dtype(kept)


def made(name: str) -> Any:
    """A random model, with weights and biases that all matter."""
    torch.manual_seed(13)
    kind, options = MODELS[name]
    owner = getattr(transformers, kind)
    model = owner(owner.config_class(**options, attn_implementation="eager"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.double().eval()


class State(Tensors):
    """A model's parameters, straight from its memory; a tied one by the first of its names."""

    def __init__(self, model: Any) -> None:
        self._arrays = {name: p.detach().numpy() for name, p in model.named_parameters()}

    def names(self) -> tuple[str, ...]:
        return tuple(self._arrays)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._arrays[name].shape)

    def dtype(self, name: str) -> str:
        return str(self._arrays[name].dtype)

    def read(self, name: str, dtype: str | None = None) -> Any:
        return np.asarray(self._arrays[name], dtype)


def read(model: Any) -> tuple[Any, Any, Any, dict[str, np.ndarray]]:
    """Our configuration, its family, what it declares, and the values by dotted name."""
    config = json.loads(model.config.to_json_string(use_diff=False))
    config["architectures"] = [type(model).__name__]
    family = find_family(config["model_type"], "transformers")
    ours = family.read(HfConfig(config))
    declared = Model(load_backend("numpy"), ours).declare()
    rules, ignored = family.rules(ours), family.ignored(ours)
    values = to_ours(State(model), rules, declared, where="memory", ignored=ignored)
    return ours, family, declared, values


def fed(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Theirs, and ours."""
    theirs = {"input_ids": TOKENS, "attention_mask": REAL.astype(np.int64)}
    ours: dict[str, Any] = {"positions": POSITIONS}
    if name.startswith("bert"):
        theirs["token_type_ids"] = ours["segments"] = SEGMENTS
    return {key: torch.tensor(x) for key, x in theirs.items()}, ours


def probe(shape: tuple[int, ...]) -> np.ndarray:
    """Weighs every real output differently, and no other."""
    weights: np.ndarray = np.cos(np.arange(np.prod(shape)) + 1.0).reshape(shape)
    return weights if len(shape) == 2 else weights * REAL[..., None]


@pytest.mark.usefixtures("_doubles")
@pytest.mark.parametrize("name", MODELS)
def test_whole_models(name: str) -> None:
    """Outputs and every gradient, within what a float64 sum of a few hundred numbers rounds off."""
    model = made(name)
    config, family, declared, values = read(copy.deepcopy(model))
    theirs, ours = fed(name)
    output = model(**theirs).logits
    assert output.dtype == torch.float64
    weights = probe(tuple(output.shape))
    (output * torch.tensor(weights)).sum().backward()
    ar = Arithmetic()
    got = forward(ar, config, values, TOKENS, **ours)
    shown = weights != 0
    expected = output.detach().numpy()
    np.testing.assert_allclose(got[shown], expected[shown], rtol=1e-12, atol=1e-13)
    found = gradient(ar, lambda t: [forward(ar, config, t, TOKENS, **ours)], values, [weights])
    slopes = dict(from_ours(found, family.rules(config), declared))
    used = {n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None}
    assert set(slopes) == set(used)
    for key, expected in used.items():
        limit = 1e-12 * max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(slopes[key], expected, rtol=0, atol=limit, err_msg=key)


@pytest.mark.usefixtures("_doubles")
@pytest.mark.parametrize(("name", "scaling"), [("llama long", LLAMA3), ("llama linear", LINEAR)])
def test_frequencies(name: str, scaling: dict[str, Any]) -> None:
    rotary = made(name).model.rotary_emb
    options = {
        key: scaling[key] for key in ("low_freq_factor", "high_freq_factor") if key in scaling
    }
    config = RotaryConfig(
        dim=4,
        theta=scaling["rope_theta"],
        scaling=scaling["rope_type"],
        factor=scaling["factor"],
        original_context=scaling.get("original_max_position_embeddings", 8192),
        **options,
    )
    np.testing.assert_allclose(rotary.inv_freq.numpy(), frequencies(config), rtol=1e-15)
