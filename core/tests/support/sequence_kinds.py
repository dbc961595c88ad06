"""Encoder-decoders among the small random checkpoints: transformers' classes, and what is said."""

from __future__ import annotations

from typing import Any

_T5 = {
    "vocab_size": 101,
    "d_model": 48,
    "d_kv": 12,
    "d_ff": 80,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 6,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 9,
    "layer_norm_epsilon": 1e-4,
    "decoder_start_token_id": 0,
}
_BART = {
    "vocab_size": 101,
    "d_model": 48,
    "encoder_layers": 2,
    "encoder_ffn_dim": 80,
    "encoder_attention_heads": 6,
    "decoder_layers": 3,
    "decoder_ffn_dim": 56,
    "decoder_attention_heads": 4,
    "max_position_embeddings": 20,
    "decoder_start_token_id": 2,
    "pad_token_id": 0,
    "eos_token_id": 3,
    "forced_eos_token_id": None,
}
_APART = {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 101, "vocab_size": 103}
SEQUENCES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "t5": ("T5Config", "T5ForConditionalGeneration", _T5),
    "t5 gated": (
        "T5Config",
        "T5ForConditionalGeneration",
        {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    ),
    "mt5": ("MT5Config", "MT5ForConditionalGeneration", _T5),
    "umt5": ("UMT5Config", "UMT5ForConditionalGeneration", _T5),
    "bart": ("BartConfig", "BartForConditionalGeneration", {**_BART, "scale_embedding": True}),
    "mbart": ("MBartConfig", "MBartForConditionalGeneration", _BART),
    "pegasus": (
        "PegasusConfig",
        "PegasusForConditionalGeneration",
        {**_BART, "activation_function": "relu"},
    ),
    "marian": ("MarianConfig", "MarianMTModel", {**_BART, "activation_function": "swish"}),
    "marian apart": ("MarianConfig", "MarianMTModel", {**_BART, **_APART}),
    "m2m 100": ("M2M100Config", "M2M100ForConditionalGeneration", {**_BART, "pad_token_id": 1}),
}
