"""Twins that several tests share, and a way to ask a broken port."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import ports
import pytest

import lmkernel as lk
from lmkernel.verification.one_run import Variant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GATED: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 100,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 61,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "rope_theta": 2e4,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 3.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {**GATED, "model_type": "llama", "rope_scaling": LLAMA3},
    "mistral": {**GATED, "model_type": "mistral", "sliding_window": 20, "num_hidden_layers": 2},
    "qwen2": {**GATED, "model_type": "qwen2", "tie_word_embeddings": True, "num_hidden_layers": 2},
    "qwen3": {**GATED, "model_type": "qwen3", "head_dim": 16, "num_hidden_layers": 2},
    "gpt2": {
        "model_type": "gpt2",
        "n_embd": 64,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 64,
        "vocab_size": 61,
    },
    "bert": {
        "model_type": "bert",
        "architectures": ["BertForMaskedLM"],
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 100,
        "vocab_size": 61,
        "max_position_embeddings": 64,
    },
}
CONFIGS["roberta"] = {
    **CONFIGS["bert"],
    "model_type": "roberta",
    "architectures": ["RobertaForMaskedLM"],
}


@pytest.fixture(scope="session")
def twins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A twin of each, by name."""
    folder = tmp_path_factory.mktemp("twins")
    made = {}
    for name, values in CONFIGS.items():
        (folder / f"{name}.json").write_text(json.dumps(values))
        made[name] = lk.twin(folder / f"{name}.json", folder / name).path
    return made


@contextmanager
def _wrong() -> Iterator[ports.Wrong]:
    before = dict(vars(ports.WRONG))
    try:
        yield ports.WRONG
    finally:
        vars(ports.WRONG).update(before)


@pytest.fixture
def wrong() -> Iterator[ports.Wrong]:
    """What is wrong with ``python:ports:broken``, in this test."""
    with _wrong() as port:
        yield port


@pytest.fixture(scope="session")
def found(quick: Any) -> Any:
    """The verdict on a port whose final norm is off by a thousandth."""

    def scale(values: dict[str, Any]) -> dict[str, Any]:
        name = "decoder.norm.weight"
        return {n: x * np.float32(1.001) if n == name else x for n, x in values.items()}

    with _wrong() as port:
        port.variant = Variant(change=scale)
        return quick("qwen2", diagnosing=False)


@pytest.fixture(scope="session")
def quick(twins: dict[str, Path]) -> Any:
    """Verify quickly, in silence."""

    def verify(twin: str, subject: str = "python:ports:broken", **options: Any) -> Any:
        asked = {"level": "quick", "progress": False, **options}
        return lk.verify(twins[twin], subject=subject, **asked)

    return verify
