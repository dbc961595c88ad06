"""Configurations of models that read pictures and sounds, of which twins are made."""

from __future__ import annotations

from typing import Any

__all__ = ["CONFIGS", "PARTS"]

_TEXTS: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 3000,
    "hidden_size": 256,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "intermediate_size": 700,
}
_TOWER: dict[str, Any] = {
    "hidden_size": 192,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "intermediate_size": 400,
    "image_size": 128,
    "patch_size": 16,
}
_LABELS = {str(i): label for i, label in enumerate("abc")}
_SMOLVLM: dict[str, Any] = {
    "model_type": "smolvlm",
    "architectures": ["SmolVLMForConditionalGeneration"],
    "text_config": _TEXTS,
    "vision_config": _TOWER,
    "image_token_id": 2999,
    "scale_factor": 4,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "vit": {
        "model_type": "vit",
        "architectures": ["ViTForImageClassification"],
        "id2label": _LABELS,
        "label2id": {label: int(i) for i, label in _LABELS.items()},
    },
    "dinov2": {"model_type": "dinov2", "architectures": ["Dinov2Model"]},
    "clip": {
        "model_type": "clip",
        "architectures": ["CLIPModel"],
        "text_config": {"vocab_size": 3000},
        "vision_config": _TOWER,
    },
    "siglip": {
        "model_type": "siglip",
        "architectures": ["SiglipModel"],
        "text_config": {"vocab_size": 3000, "projection_size": _TOWER["hidden_size"]},
        "vision_config": _TOWER,
    },
    "smolvlm": _SMOLVLM,
    "idefics3": {
        **_SMOLVLM,
        "model_type": "idefics3",
        "architectures": ["Idefics3ForConditionalGeneration"],
    },
    "llava": {
        "model_type": "llava",
        "architectures": ["LlavaForConditionalGeneration"],
        "text_config": _TEXTS,
        "vision_config": {**_TOWER, "model_type": "clip_vision_model"},
        "image_token_index": 2999,
    },
    "whisper": {"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"]},
    "wav2vec2": {"model_type": "wav2vec2", "architectures": ["Wav2Vec2ForCTC"]},
    "hubert": {
        "model_type": "hubert",
        "architectures": ["HubertForCTC"],
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "conv_bias": True,
    },
}
PARTS = dict.fromkeys(("clip", "siglip", "smolvlm", "idefics3", "llava"), ("texts", "pictures"))
"""The parts of those that have more than one."""
