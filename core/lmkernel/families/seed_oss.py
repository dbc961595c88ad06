"""The Seed-OSS family: Llama with biases of queries, keys and values, and of outputs apart."""

from __future__ import annotations

from types import MappingProxyType
from typing import final

from lmkernel.families.gated import GATED_KEYS, GatedFamily
from lmkernel.families.gguf_architecture import GgufArchitecture

__all__ = ["SeedOss"]


@final
class SeedOss(GatedFamily):
    """``model_type`` ``"seed_oss"``."""

    model_type, class_name = "seed_oss", "SeedOssForCausalLM"
    keys = GATED_KEYS.but(
        vocab_size=155136,
        intermediate_size=27648,
        num_hidden_layers=64,
        num_attention_heads=80,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=524288,
        attention_bias=True,
        attention_out_bias=False,
        mlp_bias=False,
        residual_dropout=0.1,
        pad_token_id=1,
        nullable=("num_key_value_heads", "head_dim", "pad_token_id"),
    )
    carried = MappingProxyType(
        {
            "attention_bias": "decoder.attention.bias",
            "attention_out_bias": "decoder.attention.out_bias",
            "mlp_bias": "decoder.mlp.bias",
            "residual_dropout": "decoder.dropout",
        }
    )
    layout = GgufArchitecture(
        class_name="SeedOssForCausalLM",
        biases=True,
        complete=lambda names, _: {
            "attention_bias": "blk.0.attn_q.bias" in names,
            "attention_out_bias": "blk.0.attn_output.bias" in names,
            "mlp_bias": "blk.0.ffn_down.bias" in names,
        },
    )
