"""A small random Wav2Vec2 model, in the ecosystem's words and on the default backend."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.config import PrecisionPolicy
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import from_ours
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DESCRIBED", "LETTERS", "RATE", "small_waves", "wave_model"]

RATE = 8000
LETTERS = ["<pad>", "<unk>", "|", *"abcdefgh"]
DESCRIBED: dict[str, Any] = {
    "model_type": "wav2vec2",
    "architectures": ["Wav2Vec2ForCTC"],
    "vocab_size": len(LETTERS),
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "conv_dim": [12, 16],
    "conv_kernel": [100, 4],
    "conv_stride": [40, 4],
    "conv_bias": True,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "num_conv_pos_embeddings": 6,
    "num_conv_pos_embedding_groups": 4,
    "hidden_dropout": 0.0,
    "final_dropout": 0.0,
    "pad_token_id": 0,
}


def small_waves(**changes: Any) -> tuple[Model, dict[str, np.ndarray]]:
    """The model in float64, and values by name, all of which matter."""
    config = find_family("wav2vec2", "a test").read(HfConfig({**DESCRIBED, **changes}))
    wide = PrecisionPolicy(params="float64", compute="float64", output="float64")
    model, drawn = Model(load_backend("numpy"), config, wide), np.random.default_rng(7)
    return model, {n: x + drawn.normal(0, 0.2, x.shape) for n, x in model.initial(5).items()}


def wave_model(folder: Path, **changes: Any) -> Path:
    """A random model that spells anything."""
    model, weights = small_waves(**changes)
    family = find_family("wav2vec2", "a test")
    tensors = from_ours(weights, family.rules(model.config), model.declare())
    write_directory(folder, config={**DESCRIBED, **changes}, tensors=tensors)
    numbers = {letter: number for number, letter in enumerate(LETTERS)}
    (folder / "vocab.json").write_text(json.dumps(numbers))
    (folder / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": RATE}))
    return folder
