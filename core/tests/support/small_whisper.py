"""A small random Whisper model, in the ecosystem's words and on the default backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel.backend import load_backend
from lmkernel.config import PrecisionPolicy
from lmkernel.families.family import HfConfig, find_family
from lmkernel.model import Model

__all__ = ["DESCRIBED", "small_whisper"]

DESCRIBED: dict[str, Any] = {
    "model_type": "whisper",
    "is_encoder_decoder": True,
    "vocab_size": 101,
    "num_mel_bins": 10,
    "d_model": 48,
    "encoder_layers": 2,
    "encoder_ffn_dim": 80,
    "encoder_attention_heads": 6,
    "decoder_layers": 3,
    "decoder_ffn_dim": 56,
    "decoder_attention_heads": 4,
    "max_source_positions": 9,
    "max_target_positions": 20,
}


def small_whisper(**changes: Any) -> tuple[Model, dict[str, np.ndarray]]:
    """The model in float64, and values by name, all of which matter."""
    values = {**DESCRIBED, **changes}
    config = find_family("whisper", "a test").read(HfConfig(values))
    wide = PrecisionPolicy(params="float64", compute="float64", output="float64")
    model, drawn = Model(load_backend("numpy"), config, wide), np.random.default_rng(7)
    return model, {n: x + drawn.normal(0, 0.2, x.shape) for n, x in model.initial(5).items()}
