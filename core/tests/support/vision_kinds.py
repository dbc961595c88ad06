"""Small models of pictures by transformers' own classes, and the pictures that they are fed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

PICTURES = np.random.default_rng(29).normal(size=(4, 3, 22, 20)).astype(np.float32)
"""Neither square nor a multiple of all patches."""
SIZES = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 6}
VIT = {
    **SIZES,
    "intermediate_size": 80,
    "image_size": [22, 20],
    "patch_size": [4, 5],
    "layer_norm_eps": 1e-4,
}
DINO = {
    **SIZES,
    "mlp_ratio": 2,
    "image_size": 28,
    "patch_size": 4,
    "layer_norm_eps": 1e-4,
    "layerscale_value": 0.3,
}
SQUARE_PICTURES = np.random.default_rng(31).normal(size=(4, 3, 13, 13)).astype(np.float32)
TOWER = {
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "intermediate_size": 80,
    "image_size": 13,
    "patch_size": 4,
    "layer_norm_eps": 1e-4,
}
TEXTS = {
    "vocab_size": 101,
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 60,
    "max_position_embeddings": 9,
    "layer_norm_eps": 1e-4,
    "eos_token_id": 100,
    "bos_token_id": 1,
    "pad_token_id": 0,
}
TOWERS: dict[str, tuple[str, dict[str, Any]]] = {
    "clip": ("CLIP", {"projection_dim": 20, "text_config": TEXTS, "vision_config": TOWER}),
    "clip gelu": (
        "CLIP",
        {
            "projection_dim": 20,
            "text_config": {**TEXTS, "hidden_act": "gelu"},
            "vision_config": {**TOWER, "hidden_act": "gelu"},
        },
    ),
    "siglip": (
        "Siglip",
        {"text_config": {**TEXTS, "projection_size": 48}, "vision_config": TOWER},
    ),
}
"""By name: what the classes begin with, and the options."""
CLASSES = "AutoModelForImageClassification"
VISION: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "vit": ("ViT", "ViTModel", "AutoModel", {**VIT, "pooler_output_size": 20}),
    "vit unbiased": ("ViT", "ViTModel", "AutoModel", {**VIT, "qkv_bias": False}),
    "vit classes": (
        "ViT",
        "ViTForImageClassification",
        CLASSES,
        {**VIT, "id2label": {0: "no", 1: "perhaps", 2: "yes"}, "hidden_act": "gelu_pytorch_tanh"},
    ),
    "dinov2": ("Dinov2", "Dinov2Model", "AutoModel", DINO),
    "dinov2 gated": ("Dinov2", "Dinov2Model", "AutoModel", {**DINO, "use_swiglu_ffn": True}),
    "dinov2 classes": ("Dinov2", "Dinov2ForImageClassification", CLASSES, DINO),
}
"""By name: the classes of configuration and model, the one that opens it, and the options."""


def picture_output(out: Any) -> torch.Tensor:
    """What a model answers: logits, what a pooler of its own makes, or the hidden vectors."""
    if "logits" in out:
        return out.logits
    pooled, hidden = out.pooler_output, out.last_hidden_state
    same = pooled.shape == hidden[:, 0].shape and bool((pooled == hidden[:, 0]).all())
    return hidden if same else pooled


RENAMED = (
    ("attention.attention.query", "attention.q_proj"),
    ("attention.attention.key", "attention.k_proj"),
    ("attention.attention.value", "attention.v_proj"),
    ("attention.output.dense", "attention.o_proj"),
    ("intermediate.dense", "mlp.fc1"),
    ("output.dense", "mlp.fc2"),
    ("mlp.weights_out", "mlp.down_proj"),
)


def as_picture_modules_have_them(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors of a checkpoint by the names of transformers' parameters."""
    found: dict[str, np.ndarray] = {}
    layers = "encoder.layer." if any("norm1" in name for name in tensors) else "layers."
    for name, value in tensors.items():
        module = name.replace("encoder.layer.", layers)
        for old, new in RENAMED:
            module = module.replace(old, new)
        if "mlp.weights_in" in module:
            for part, half in zip(("gate", "up"), np.split(value, 2), strict=True):
                found[module.replace("weights_in", f"{part}_proj")] = half
        else:
            found[module] = value
    return found
