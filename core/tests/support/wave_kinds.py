"""Small models of samples by transformers' own classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from family_inputs import SAMPLES, SAMPLES_REAL

WAVES: dict[str, Any] = {
    "vocab_size": 31,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "intermediate_size": 80,
    "conv_dim": [20, 24, 28],
    "conv_kernel": [5, 3, 2],
    "conv_stride": [3, 2, 1],
    "num_conv_pos_embeddings": 6,
    "num_conv_pos_embedding_groups": 4,
    "layer_norm_eps": 1e-4,
    "pad_token_id": 2,
}
STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
WAVE_KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2": ("Wav2Vec2", WAVES),
    "wav2vec2 stable": ("Wav2Vec2", {**WAVES, **STABLE, "num_conv_pos_embeddings": 7}),
    "hubert": ("Hubert", {**WAVES, "feat_proj_layer_norm": False, "hidden_act": "relu"}),
    "hubert stable": ("Hubert", {**WAVES, **STABLE, "feat_extract_activation": "tanh"}),
}
"""Each with the beginning of its classes' names, and what makes it small."""


def wave_output(model: Any, rows: np.ndarray) -> Any:
    """The logits of some rows, of which those before the longest one's end are padded."""
    samples = torch.tensor(SAMPLES[rows]).to(model.dtype)
    mask = torch.tensor(SAMPLES_REAL[rows].astype(np.int64))
    return model(samples, attention_mask=mask).logits
