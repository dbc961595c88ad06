"""Ports with one defect each: a twin opened in transformers, with something in it exchanged."""

from __future__ import annotations

from typing import Any

import port_breaks as wrong
from port_breaks import Broken

BASE: dict[str, Any] = {
    "hidden_size": 512,
    "intermediate_size": 1400,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 5000,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 1024,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {**BASE, "model_type": "llama", "rope_scaling": LLAMA3},
    "tied": {**BASE, "model_type": "llama", "tie_word_embeddings": True},
    "mistral": {**BASE, "model_type": "mistral", "sliding_window": 1024},
    "qwen2": {**BASE, "model_type": "qwen2"},
    "qwen3": {**BASE, "model_type": "qwen3", "head_dim": 64},
    "gpt2": {
        "model_type": "gpt2",
        "n_embd": 256,
        "n_layer": 6,
        "n_head": 8,
        "n_positions": 512,
        "vocab_size": 3000,
        "layer_norm_epsilon": 1e-5,
    },
    "bert": {
        "model_type": "bert",
        "architectures": ["BertForMaskedLM"],
        "hidden_size": 256,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "intermediate_size": 700,
        "vocab_size": 3000,
        "max_position_embeddings": 256,
        "layer_norm_eps": 1e-12,
    },
}

ATT, MLP = "layer 0 (attention)", "layer 0 (feed-forward)"
PORTS = [
    Broken("theta", "llama", wrong.set_theta(1e4), ATT, "rope.default"),
    Broken("theta_of_tied", "tied", wrong.set_theta(1e4), ATT, "rope.theta"),
    Broken("scaling", "llama", wrong.set_theta(5e5), ATT, "rope.scaling"),
    Broken("eps", "llama", wrong.set_eps(1e-6), ATT, "norm.eps"),
    Broken("eps_gpt2", "gpt2", wrong.set_eps(1e-12), ATT, "norm.eps"),
    Broken("eps_bert", "bert", wrong.set_eps(1e-5), "embedding", "norm.eps"),
    Broken("one_plus", "qwen2", wrong.one_plus, ATT, "norm.offset"),
    Broken("scale_1", "llama", wrong.set_scale(lambda _: 1.0), ATT, "attention.scale"),
    Broken(
        "scale_width",
        "qwen3",
        wrong.set_scale(lambda c: c.hidden_size**-0.5),
        ATT,
        "attention.scale",
    ),
    Broken("not_causal", "llama", wrong.not_causal, ATT, "attention.causal"),
    Broken("window", "mistral", wrong.set_config(sliding_window=None), ATT, "attention.window"),
    Broken("window_25", "mistral", wrong.set_config(sliding_window=25), ATT, "attention.window"),
    Broken("groups", "llama", wrong.tile_heads, ATT, "attention.groups"),
    Broken("interleaved", "llama", wrong.interleave, ATT, "rope.interleaved"),
    Broken("permuted", "tied", wrong.permute, ATT, "attention.permuted"),
    Broken("gelu", "llama", wrong.set_activation("gelu"), MLP, "mlp.activation"),
    Broken("erf", "gpt2", wrong.set_activation("gelu"), MLP, "mlp.activation"),
    Broken("tanh", "bert", wrong.set_activation("gelu_new"), MLP, "mlp.activation"),
    Broken("gate", "llama", wrong.exchange("gate_proj", "up_proj"), MLP, "mlp.exchanged"),
    Broken("values", "tied", wrong.exchange("k_proj", "v_proj"), ATT, "attention.exchanged"),
    Broken(
        "norms",
        "qwen2",
        wrong.exchange("input_layernorm", "post_attention_layernorm"),
        ATT,
        "norm.exchanged",
    ),
    Broken("bias", "qwen2", wrong.drop_bias("q_proj", "k_proj", "v_proj"), ATT, "attention.bias"),
    Broken("mlp_bias", "gpt2", wrong.drop_bias("c_fc"), MLP, "mlp.bias"),
    Broken("qk_norm", "qwen3", wrong.replace_modules("q_norm", "k_norm"), ATT, "norm.qk"),
    Broken("last_layer", "llama", wrong.cut_layers, "final norm", "layers.last"),
    Broken("first_layer", "llama", wrong.drop_first, ATT, "layers.first"),
    Broken(
        "final_norm",
        "llama",
        lambda m: wrong.replace_modules("norm")(m.model),
        "final norm",
        "norm.final",
    ),
    Broken("embedding_scale", "tied", wrong.scale_embedding, "embedding", "embedding.scale"),
    Broken("positions", "gpt2", wrong.shift_positions, "embedding", "embedding.positions"),
    Broken("segments", "bert", wrong.no_segments, "embedding", "embedding.segments"),
    Broken(
        "one_layer",
        "llama",
        wrong.disturb("model.layers.2.self_attn.o_proj"),
        "layer 2 (attention)",
    ),
    Broken(
        "one_mlp", "qwen2", wrong.disturb("model.layers.1.mlp.down_proj"), "layer 1 (feed-forward)"
    ),
    Broken(
        "no_mlp", "gpt2", wrong.skip("transformer.h.3.mlp"), "layer 3 (feed-forward)", "layers.part"
    ),
    Broken("other_head", "tied", wrong.other_head, "logits"),
    Broken("rounded", "llama", wrong.round_logits, "logits", "dtype.logits"),
    Broken("angles", "llama", wrong.rotate_in_bfloat16, ATT, "dtype.angles"),
    Broken("mask", "llama", wrong.without("attention_mask"), ATT, "mask.ignored"),
    Broken("mask_bert", "bert", wrong.without("attention_mask"), ATT, "mask.ignored"),
    Broken("padding_counted", "gpt2", wrong.count_padding, "embedding", "positions.padding"),
    Broken("position_ids", "gpt2", wrong.without("position_ids"), "embedding", "positions.ignored"),
    Broken("cache", "llama", wrong.late_cache, "logits", "cache.positions"),
    Broken("dropout", "bert", wrong.leave_training, "embedding"),
]


__all__ = ["CONFIGS", "PORTS", "Broken"]
