"""A small configuration of every family, with keys that ask for something of its own."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from encoder_kinds import ENCODERS
from picture_models import CONFIGS as PICTURES
from seeing_models import CONFIGS as SEEING
from sequence_kinds import SEQUENCES
from small import HF_CONFIG
from small_bert import BERT
from training_samples import GPT2

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONFIGS"]

GATED = {**HF_CONFIG, "num_hidden_layers": 1, "eos_token_id": 2}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LONG = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "short_factor": [1.0, 1.3],
    "long_factor": [2.0, 4.0],
    "partial_rotary_factor": 0.5,
}
HALF = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}
SOFT = {"query_pre_attn_scalar": 24, "sliding_window": 4}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12}
PLAIN = {
    "vocab_size": 61,
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 3,
    "max_position_embeddings": 48,
    "eos_token_id": 2,
}
_GATED: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "llama": {"rope_scaling": LLAMA3},
        "mistral": {"sliding_window": 4},
        "qwen2": {"use_sliding_window": False},
        "qwen3": {"attention_bias": False},
        "phi3": {"original_max_position_embeddings": 24, "rope_parameters": LONG},
        "gemma": {},
        "gemma2": {**SOFT, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0},
        "gemma3_text": {**SOFT, "num_hidden_layers": 2},
        "olmo2": {"attention_bias": True},
        "olmo3": {"sliding_window": 4, "layer_types": ["sliding_attention"]},
        "ministral": {"sliding_window": 4, "layer_types": ["full_attention"]},
        "glm": {"rope_parameters": HALF},
        "glm4": {"attention_bias": False},
        "ernie4_5": {"use_bias": True},
        "seed_oss": {"attention_out_bias": True, "mlp_bias": True},
        "smollm3": {"no_rope_layers": [0], "use_sliding_window": True, "sliding_window": 4},
        "granite": {
            "embedding_multiplier": 3.0,
            "logits_scaling": 4.0,
            "residual_multiplier": 0.22,
            "attention_multiplier": 0.3,
        },
        "cohere2": {"sliding_window": 4, "logit_scale": 0.25, "layer_norm_eps": 1e-4},
        "stablelm": {"rope_parameters": HALF, "use_qkv_bias": True, "layer_norm_eps": 1e-4},
        "mixtral": {"num_local_experts": 3, "num_experts_per_tok": 2},
        "qwen2_moe": {**EXPERTS, "shared_expert_intermediate_size": 16, "mlp_only_layers": []},
        "qwen3_moe": {**EXPERTS, "norm_topk_prob": True, "decoder_sparse_step": 1},
        "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
        "gpt_oss": {"num_local_experts": 3, "num_experts_per_tok": 2, "sliding_window": 4},
        "qwen3_5_text": {
            "num_hidden_layers": 2,
            "layer_types": ["linear_attention", "full_attention"],
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": 6,
            "linear_value_head_dim": 8,
            "partial_rotary_factor": 1.0,
        },
    }
)
_OWN_HEADS = {
    "phi3",
    "olmo2",
    "olmo3",
    "smollm3",
    "granite",
    "cohere2",
    "stablelm",
    "mixtral",
    "olmoe",
}
"""Those whose heads have no width of their own."""
_LATENT = {
    **PLAIN,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "moe_intermediate_size": 12,
    "first_k_dense_replace": 1,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "n_group": 4,
    "topk_group": 2,
    "kv_lora_rank": 10,
    "q_lora_rank": 14,
    "qk_nope_head_dim": 6,
    "qk_rope_head_dim": 4,
    "v_head_dim": 7,
}
_WAVES: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "conv_dim": [6, 8],
    "conv_kernel": [5, 3],
    "conv_stride": [3, 2],
    "num_conv_pos_embeddings": 6,
    "num_conv_pos_embedding_groups": 3,
}
_OTHERS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "gpt_neox": {
            **PLAIN,
            "intermediate_size": 40,
            "layer_norm_eps": 1e-4,
            "rope_parameters": HALF,
        },
        "falcon": {**PLAIN, "layer_norm_epsilon": 1e-4, "ffn_hidden_size": 40, "bias": True},
        "bloom": {"vocab_size": 61, "hidden_size": 24, "n_layer": 1, "n_head": 3},
        "deepseek_v2": {**_LATENT, "topk_method": "group_limited_greedy"},
        "deepseek_v3": _LATENT,
        "whisper": {
            "vocab_size": 61,
            "num_mel_bins": 5,
            "d_model": 24,
            **{f"{side}_layers": 1 for side in ("encoder", "decoder")},
            **{f"{side}_ffn_dim": 40 for side in ("encoder", "decoder")},
            **{f"{side}_attention_heads": 3 for side in ("encoder", "decoder")},
            "max_source_positions": 8,
            "max_target_positions": 20,
            "is_encoder_decoder": True,
        },
        **dict.fromkeys(("wav2vec2", "hubert"), _WAVES),
        "opt": {**PLAIN, "ffn_dim": 40, "word_embed_proj_dim": 24},
        "gpt2": {**GPT2, "n_layer": 1, "activation_function": "gelu_new"},
        "bert": {
            **BERT,
            "num_hidden_layers": 1,
            "architectures": ["BertForSequenceClassification"],
            "id2label": {"0": "a", "1": "b"},
        },
    }
)


def _gated(name: str) -> dict[str, Any]:
    config = {**GATED, "model_type": name, **_GATED[name]}
    if name in _OWN_HEADS:
        del config["head_dim"]
        config["num_attention_heads"], config["num_key_value_heads"] = 3, 3
    return config


_ENCODERS: Mapping[str, str] = MappingProxyType(
    {
        "roberta": "roberta SequenceClassification",
        "xlm-roberta": "xlm-roberta MaskedLM",
        "camembert": "camembert MaskedLM",
        "distilbert": "distilbert TokenClassification",
        "electra": "electra MaskedLM",
        "mpnet": "mpnet MaskedLM",
        "albert": "albert SequenceClassification",
        "deberta-v2": "deberta-v2 MaskedLM",
        "modernbert": "modernbert biased SequenceClassification",
    }
)
"""One of `encoder_kinds` for each."""


_SEQUENCES: Mapping[str, str] = MappingProxyType(
    {
        **{name: name for name in ("t5", "mt5", "umt5", "bart", "mbart", "pegasus", "marian")},
        "m2m_100": "m2m 100",
    }
)
"""One of `sequence_kinds` for each."""


def _sequence(name: str) -> dict[str, Any]:
    _, architecture, options = SEQUENCES[_SEQUENCES[name]]
    written: dict[str, Any] = json.loads(json.dumps(options))
    return {**written, "model_type": name, "architectures": [architecture]}


def _encoder(name: str) -> dict[str, Any]:
    _, architecture, options = ENCODERS[_ENCODERS[name]]
    written: dict[str, Any] = json.loads(json.dumps(options))  # with keys that are texts
    return {**written, "model_type": name, "architectures": [architecture]}


CONFIGS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        **{name: _encoder(name) for name in _ENCODERS},
        **{name: _sequence(name) for name in _SEQUENCES},
        **{name: _gated(name) for name in _GATED},
        **{name: {**config, "model_type": name} for name, config in _OTHERS.items()},
        **{name: PICTURES[name] for name in ("vit", "dinov2", "clip", "siglip")},
        **SEEING,
    }
)
"""By ``model_type``."""
