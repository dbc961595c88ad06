"""A small Llama with distinct extents, as a configuration and as a checkpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lmkernel.checkpoints.directory import write_directory
from lmkernel.families.family import HfConfig
from lmkernel.families.llama import Llama
from lmkernel.families.names import from_ours
from lmkernel.parameters import initial_values

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from lmkernel.config import ModelConfig
    from lmkernel.model import Model

HF_CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500.0,
    "vocab_size": 61,
    "max_position_embeddings": 48,
    "tie_word_embeddings": True,
    "eos_token_id": 2,
}


def small_config(**changes: Any) -> ModelConfig:
    """The configuration, read from its Hugging Face form."""
    return Llama().read(HfConfig({**HF_CONFIG, **changes}))


def values_of(model: Model, seed: int = 5) -> dict[str, np.ndarray]:
    """Weights large enough that no two tokens come close."""
    values = model.initial(seed)
    return {n: v * (1 if "norm" in n else 6) for n, v in values.items()}


def write_small(
    folder: Path, model: Model, tokenizer: Any = None, config: dict[str, Any] = HF_CONFIG
) -> dict[str, np.ndarray]:
    """A Hugging Face directory of the small Llama; returns its values."""
    values = values_of(model)
    rules = Llama().rules(model.config)
    write_directory(
        folder,
        config=json.loads(json.dumps(config)),
        tensors=from_ours(values, rules, model.declare()),
        tokenizer=tokenizer,
    )
    return values


__all__ = ["HF_CONFIG", "initial_values", "small_config", "values_of", "write_small"]
