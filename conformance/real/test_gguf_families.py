"""Every family of decoders that llama.cpp writes: its GGUF file gives the model that it was."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import transformers
from decoder_kinds import MLA_YARN
from family_kinds import CAUSAL, KINDS
from gguf_written import ARCHITECTURES, write_as_gguf

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import open_model
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import to_ours
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.config import ModelConfig

LOST: dict[str, dict[str, Any]] = {
    "gemma2": {"query_pre_attn_scalar": 12},
    "gemma3": {"query_pre_attn_scalar": 12},
    "granite": {"mlp_bias": False},
    "olmo2": {"attention_bias": False},
    "smollm3": {
        "no_rope_layers": None,
        "use_sliding_window": False,
        "sliding_window": None,
        "num_hidden_layers": 4,
    },
    "mistral": {"sliding_window": None},
    "qwen2 moe": {"mlp_only_layers": []},
    "qwen3 moe": {"decoder_sparse_step": 1},
    "deepseek v3": {"attention_bias": False, "rope_parameters": {**MLA_YARN, "mscale": 0.9}},
    "gpt oss": {"swiglu_limit": 7.0},
    "olmo3": {
        "attention_bias": False,
        "rope_parameters": {
            "full_attention": {
                "rope_type": "yarn",
                "rope_theta": 5e3,
                "factor": 4.0,
                "original_max_position_embeddings": 16,
                "attention_factor": 1.3,
                "beta_fast": 20.0,
                "beta_slow": 0.5,
            },
            "sliding_attention": {"rope_type": "default", "rope_theta": 5e3},
        },
    },
    "gpt2 untied": {"scale_attn_weights": True},
}
"""What llama.cpp's metadata cannot say, with what it takes for granted."""
UNKNOWN = ("deepseek v3 halves", "falcon serial", "qwen2 sliding", "qwen3 biased")
"""What it does not have at all."""
DECODERS = {
    name: replace(kind, options={**kind.options, **LOST.get(name, {})})
    for name, kind in KINDS.items()
    if name not in UNKNOWN
    and kind.auto == CAUSAL
    and getattr(transformers, kind.config).model_type in ARCHITECTURES
}


def read(path: Path) -> tuple[ModelConfig, dict[str, Any]]:
    files = open_model(path)
    family = find_family(files.config["model_type"], str(path))
    config = family.read(HfConfig(files.config))
    declared = Model(load_backend(), config).declare()
    values = to_ours(
        files.tensors,
        family.rules(config),
        declared,
        where=str(path),
        ignored=family.ignored(config),
    )
    return replace(config, init=None), values


def rounded(config: ModelConfig) -> str:
    """All of it, with numbers as exact as float32, in which metadata are kept."""
    return re.sub(r"\d+\.\d+(e-?\d+)?", lambda found: f"{float(found[0]):.5g}", repr(config))


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_what_is_read_is_what_was_written(name: str, tmp_path: Path) -> None:
    DECODERS[name].make().save_pretrained(tmp_path / "theirs")
    config, values = read(tmp_path / "theirs")
    got, parameters = read(write_as_gguf(tmp_path / "theirs", tmp_path / "x.gguf"))
    assert rounded(got) == rounded(config)
    assert parameters.keys() == values.keys()
    for key, value in values.items():
        np.testing.assert_allclose(parameters[key], value, rtol=0, atol=1e-6, err_msg=key)
