"""Configurations of many families, of which twins are made; each with something unusual in it."""

from __future__ import annotations

from typing import Any

__all__ = ["CONFIGS"]

BASE: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 700,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 3000,
    "max_position_embeddings": 2048,
}
ENCODER: dict[str, Any] = {
    **{n: x for n, x in BASE.items() if n != "num_key_value_heads"},
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
LATENT: dict[str, Any] = {
    **BASE,
    "num_key_value_heads": 8,
    "kv_lora_rank": 64,
    "q_lora_rank": None,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16,
    "v_head_dim": 32,
    "first_k_dense_replace": 1,
    "moe_intermediate_size": 175,
    "n_routed_experts": 16,
    "num_experts_per_tok": 4,
}
YARN = {
    "rope_type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 512,
    "rope_theta": 1e6,
    "beta_fast": 20,
    "beta_slow": 2,
}


def rope(kind: str, **values: Any) -> dict[str, Any]:
    return {"rope_type": kind, "rope_theta": 1e5, **values}


CONFIGS: dict[str, dict[str, Any]] = {
    "mixtral": {**BASE, "model_type": "mixtral", "num_local_experts": 6},
    "qwen2_moe": {**BASE, "model_type": "qwen2_moe", "num_experts": 8, "num_experts_per_tok": 3},
    "olmoe": {**BASE, "model_type": "olmoe", "num_experts": 8, "num_experts_per_tok": 3},
    "gpt_oss": {**BASE, "model_type": "gpt_oss", "num_local_experts": 8, "head_dim": 64},
    "deepseek_v3": {
        **LATENT,
        "model_type": "deepseek_v3",
        "n_group": 4,
        "topk_group": 2,
        "routed_scaling_factor": 2.5,
    },
    "deepseek_v2": {
        **LATENT,
        "model_type": "deepseek_v2",
        "n_group": 1,
        "topk_group": 1,
        "rope_parameters": {**YARN, "mscale": 0.7, "mscale_all_dim": 0.7},
    },
    "yarn": {**BASE, "model_type": "qwen2", "rope_parameters": YARN},
    "linear": {**BASE, "model_type": "llama", "rope_parameters": rope("linear", factor=4.0)},
    "dynamic": {**BASE, "model_type": "llama", "rope_parameters": rope("dynamic", factor=2.0)},
    "llama3": {
        **BASE,
        "model_type": "llama",
        "rope_parameters": rope(
            "llama3",
            factor=32.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=1024,
        ),
    },
    "phi3": {
        **BASE,
        "model_type": "phi3",
        "partial_rotary_factor": 0.5,
        "original_max_position_embeddings": 512,
        "rope_parameters": {
            "rope_type": "longrope",
            "rope_theta": 1e4,
            "partial_rotary_factor": 0.5,
            "short_factor": [1.0 + 0.1 * i for i in range(8)],
            "long_factor": [2.0 + i for i in range(8)],
        },
    },
    "gemma2": {**BASE, "model_type": "gemma2", "head_dim": 48, "sliding_window": 512},
    "gemma3": {
        **BASE,
        "model_type": "gemma3_text",
        "head_dim": 48,
        "sliding_window": 512,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2,
    },
    "olmo2": {**BASE, "model_type": "olmo2"},
    "smollm3": {**BASE, "model_type": "smollm3", "no_rope_layers": [1, 1, 0, 1, 1, 0]},
    "cohere2": {**BASE, "model_type": "cohere2", "logit_scale": 0.25, "sliding_window": 512},
    "granite": {
        **BASE,
        "model_type": "granite",
        "embedding_multiplier": 6.0,
        "residual_multiplier": 0.3,
        "attention_multiplier": 0.1,
        "logits_scaling": 4.0,
    },
    "gpt_neox": {**BASE, "model_type": "gpt_neox", "rotary_pct": 0.25},
    "stablelm": {**BASE, "model_type": "stablelm", "partial_rotary_factor": 0.25},
    "falcon": {
        "model_type": "falcon",
        "hidden_size": 256,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "vocab_size": 3000,
        "multi_query": True,
        "parallel_attn": True,
        "new_decoder_architecture": False,
    },
    "bloom": {
        "model_type": "bloom",
        "hidden_size": 256,
        "n_layer": 6,
        "n_head": 8,
        "vocab_size": 3000,
    },
    "opt": {
        "model_type": "opt",
        "vocab_size": 3000,
        "hidden_size": 256,
        "word_embed_proj_dim": 256,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "ffn_dim": 700,
        "max_position_embeddings": 2048,
        "dropout": 0.0,
    },
    "bert_masked": {**ENCODER, "model_type": "bert", "architectures": ["BertForMaskedLM"]},
    "roberta": {**ENCODER, "model_type": "roberta", "architectures": ["RobertaForMaskedLM"]},
    "albert": {**ENCODER, "model_type": "albert", "architectures": ["AlbertForMaskedLM"]},
    "deberta": {
        **ENCODER,
        "model_type": "deberta-v2",
        "relative_attention": True,
        "position_buckets": 64,
        "pos_att_type": ["p2c", "c2p"],
        "architectures": ["DebertaV2ForMaskedLM"],
    },
    "modernbert": {
        **{n: x for n, x in BASE.items() if n != "num_key_value_heads"},
        "model_type": "modernbert",
        "local_attention": 64,
        "architectures": ["ModernBertForMaskedLM"],
    },
    "classes": {
        **ENCODER,
        "model_type": "roberta",
        "architectures": ["RobertaForSequenceClassification"],
        "id2label": {"0": "a", "1": "b", "2": "c"},
        "label2id": {"a": 0, "b": 1, "c": 2},
    },
    "t5": {
        "model_type": "t5",
        "vocab_size": 3000,
        "d_model": 256,
        "d_kv": 40,
        "d_ff": 700,
        "num_layers": 6,
        "num_heads": 8,
        "relative_attention_max_distance": 64,
        "feed_forward_proj": "gated-gelu",
    },
    "mbart": {
        "model_type": "mbart",
        "vocab_size": 3000,
        "d_model": 256,
        "encoder_layers": 6,
        "decoder_layers": 6,
        "encoder_ffn_dim": 700,
        "decoder_ffn_dim": 700,
        "encoder_attention_heads": 8,
        "decoder_attention_heads": 8,
        "max_position_embeddings": 512,
    },
    "wide_heads": {**BASE, "model_type": "qwen3", "head_dim": 48},
    "untied": {**BASE, "model_type": "llama", "tie_word_embeddings": False},
    "mha": {**BASE, "model_type": "llama", "num_key_value_heads": 8},
    "gpt2_small": {
        "model_type": "gpt2",
        "n_embd": 256,
        "n_layer": 6,
        "n_head": 8,
        "n_positions": 512,
        "vocab_size": 3000,
    },
}
