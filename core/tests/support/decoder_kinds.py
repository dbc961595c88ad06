"""Options of small decoders of transformers, of which each shows a row of its family."""

from __future__ import annotations

from typing import Any

from family_inputs import VOCAB
from small_whisper import DESCRIBED

HEADS = {"num_attention_heads": 6, "num_key_value_heads": 2, "num_hidden_layers": 3}
GATED = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "intermediate_size": 80,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-4,
    **HEADS,
}
BERT = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "max_position_embeddings": 20,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-6,
}
GPT2 = {
    "vocab_size": VOCAB,
    "n_embd": 48,
    "n_layer": 3,
    "n_head": 6,
    "n_positions": 20,
    "n_inner": 80,
    "layer_norm_epsilon": 1e-4,
}
SLIDING = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0}
HALF = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}
SHARE = {"rope_parameters": HALF}
LONG = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "short_factor": [1.0, 1.3],
    "long_factor": [2.0, 4.0],
    "partial_rotary_factor": 0.5,
}
GEMMA = {"head_dim": 12, "query_pre_attn_scalar": 24, "sliding_window": 4}
EXPERTS = {"num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 24}
MLA = {
    "num_key_value_heads": 6,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 10,
    "qk_rope_head_dim": 8,
    "v_head_dim": 12,
    "first_k_dense_replace": 1,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "n_group": 4,
    "topk_group": 2,
    "moe_intermediate_size": 24,
    "routed_scaling_factor": 1.7,
}
MLA_YARN = {
    "rope_type": "yarn",
    "rope_theta": 1e4,
    "factor": 4.0,
    "mscale": 0.7,
    "mscale_all_dim": 0.9,
    "original_max_position_embeddings": 16,
}
DECODERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "phi3": ("Phi3Config", "Phi3ForCausalLM", {"pad_token_id": 0, "sliding_window": 5}),
    "phi3 long": (
        "Phi3Config",
        "Phi3ForCausalLM",
        {"pad_token_id": 0, "original_max_position_embeddings": 40, "rope_parameters": LONG},
    ),
    "gemma": ("GemmaConfig", "GemmaForCausalLM", {"head_dim": 12}),
    "gemma2": (
        "Gemma2Config",
        "Gemma2ForCausalLM",
        {**GEMMA, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0},
    ),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM", {**GEMMA, "num_hidden_layers": 7}),
    "olmo2": ("Olmo2Config", "Olmo2ForCausalLM", {"attention_bias": True}),
    "olmo3": (
        "Olmo3Config",
        "Olmo3ForCausalLM",
        {
            "num_hidden_layers": 5,
            "sliding_window": 4,
            "attention_bias": True,
            "rope_parameters": {
                "full_attention": {
                    "rope_type": "yarn",
                    "rope_theta": 5e3,
                    "factor": 4.0,
                    "original_max_position_embeddings": 16,
                },
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e3},
            },
        },
    ),
    "ministral": (
        "MinistralConfig",
        "MinistralForCausalLM",
        {
            "head_dim": 12,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
    ),
    "seed oss": (
        "SeedOssConfig",
        "SeedOssForCausalLM",
        {"head_dim": 12, "attention_out_bias": True, "mlp_bias": True, "pad_token_id": 0},
    ),
    "seed oss plain": (
        "SeedOssConfig",
        "SeedOssForCausalLM",
        {"head_dim": 8, "attention_bias": True, "tie_word_embeddings": True, "pad_token_id": 0},
    ),
    "ernie4.5": (
        "Ernie4_5Config",
        "Ernie4_5ForCausalLM",
        {"head_dim": 12, "use_bias": True, "tie_word_embeddings": False},
    ),
    "glm": ("GlmConfig", "GlmForCausalLM", {"head_dim": 16, "pad_token_id": 0}),
    "glm4": (
        "Glm4Config",
        "Glm4ForCausalLM",
        {**SHARE, "head_dim": 12, "attention_bias": False, "pad_token_id": 0},
    ),
    "smollm3": (
        "SmolLM3Config",
        "SmolLM3ForCausalLM",
        {
            "no_rope_layers": [1, 0, 1],
            "use_sliding_window": True,
            "sliding_window": 4,
            "pad_token_id": 0,
        },
    ),
    "granite": (
        "GraniteConfig",
        "GraniteForCausalLM",
        {
            "embedding_multiplier": 3.0,
            "logits_scaling": 4.0,
            "residual_multiplier": 0.22,
            "attention_multiplier": 0.3,
            "mlp_bias": True,
        },
    ),
    "cohere2": (
        "Cohere2Config",
        "Cohere2ForCausalLM",
        {"sliding_window": 4, "logit_scale": 0.25, "num_hidden_layers": 5, "layer_norm_eps": 1e-4},
    ),
    "mixtral": ("MixtralConfig", "MixtralForCausalLM", {"num_local_experts": 5}),
    "qwen2 moe": (
        "Qwen2MoeConfig",
        "Qwen2MoeForCausalLM",
        {**EXPERTS, "shared_expert_intermediate_size": 32, "mlp_only_layers": [1]},
    ),
    "qwen3 moe": (
        "Qwen3MoeConfig",
        "Qwen3MoeForCausalLM",
        {**EXPERTS, "head_dim": 12, "norm_topk_prob": True, "decoder_sparse_step": 2},
    ),
    "olmoe": (
        "OlmoeConfig",
        "OlmoeForCausalLM",
        {"num_experts": 6, "num_experts_per_tok": 2, "pad_token_id": 0},
    ),
    "deepseek v2": (
        "DeepseekV2Config",
        "DeepseekV2ForCausalLM",
        {**MLA, "topk_method": "group_limited_greedy", "n_shared_experts": 2, "q_lora_rank": None},
    ),
    "deepseek v3": (
        "DeepseekV3Config",
        "DeepseekV3ForCausalLM",
        {**MLA, "q_lora_rank": 20, "rope_parameters": MLA_YARN, "attention_bias": True},
    ),
    "deepseek v3 halves": (
        "DeepseekV3Config",
        "DeepseekV3ForCausalLM",
        {**MLA, "q_lora_rank": None, "rope_interleave": False, "norm_topk_prob": False},
    ),
    "gpt oss": (
        "GptOssConfig",
        "GptOssForCausalLM",
        {
            "num_local_experts": 5,
            "num_experts_per_tok": 3,
            "head_dim": 12,
            "sliding_window": 4,
            "swiglu_limit": 0.4,
        },
    ),
    "qwen3.5": (
        "Qwen3_5TextConfig",
        "Qwen3_5ForCausalLM",
        {
            "num_hidden_layers": 4,
            "head_dim": 16,
            "attention_bias": True,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 6,
            "linear_key_head_dim": 10,
            "linear_value_head_dim": 7,
            "linear_conv_kernel_dim": 3,
        },
    ),
    "stablelm": (
        "StableLmConfig",
        "StableLmForCausalLM",
        {**SHARE, "use_qkv_bias": True, "layer_norm_eps": 1e-4},
    ),
    "stablelm parallel": (
        "StableLmConfig",
        "StableLmForCausalLM",
        {**SHARE, "use_parallel_residual": True, "layer_norm_eps": 1e-4},
    ),
}
PLAIN = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "max_position_embeddings": 64,
}
NEOX = {**PLAIN, "intermediate_size": 80, "layer_norm_eps": 1e-4, "rope_parameters": HALF}
FALCON = {**PLAIN, "layer_norm_epsilon": 1e-4, "ffn_hidden_size": 80, "bias": True}
OLDER: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gpt neox": ("GPTNeoXConfig", "GPTNeoXForCausalLM", NEOX),
    "gpt neox serial": (
        "GPTNeoXConfig",
        "GPTNeoXForCausalLM",
        {**NEOX, "use_parallel_residual": False, "attention_bias": False},
    ),
    "falcon": ("FalconConfig", "FalconForCausalLM", {**FALCON, "bias": False}),
    "falcon serial": (
        "FalconConfig",
        "FalconForCausalLM",
        {**FALCON, "alibi": True, "parallel_attn": False, "multi_query": False},
    ),
    "falcon newer": (
        "FalconConfig",
        "FalconForCausalLM",
        {**FALCON, "new_decoder_architecture": True, "num_kv_heads": 2},
    ),
    "bloom": (
        "BloomConfig",
        "BloomForCausalLM",
        {"vocab_size": VOCAB, "hidden_size": 48, "n_layer": 3, "n_head": 6},
    ),
    "opt": ("OPTConfig", "OPTForCausalLM", {**PLAIN, "ffn_dim": 80, "word_embed_proj_dim": 48}),
    "opt after": (
        "OPTConfig",
        "OPTForCausalLM",
        {**PLAIN, "ffn_dim": 80, "word_embed_proj_dim": 48, "do_layer_norm_before": False},
    ),
}
WHISPER = {
    **DESCRIBED,
    "scale_embedding": True,
    "decoder_start_token_id": 2,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 3,
}
