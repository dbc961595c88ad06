"""The BLOOM family (arXiv:2211.05100): linear biases for positions, and a norm of the embedding.

A head's queries, keys and values lie together, and then the next head's.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    HeadConfig,
    InitConfig,
    MlpConfig,
    ModelConfig,
    NormConfig,
    TransformerConfig,
)
from lmkernel.errors import CheckpointError
from lmkernel.families.config_keys import ConfigKeys, key_set
from lmkernel.families.family import Family
from lmkernel.families.gated import decoder_of
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.names import Rule, in_groups, layer_rules, with_optional_prefix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.families.hf_config import HfConfig

__all__ = ["Bloom"]

_LAYER: Mapping[str, str | tuple[str, ...]] = MappingProxyType(
    {
        "input_layernorm": "attention_norm",
        "post_attention_layernorm": "mlp_norm",
        "self_attention.query_key_value": ("attention.q", "attention.k", "attention.v"),
        "self_attention.dense": "attention.o",
        "mlp.dense_h_to_4h": "mlp.up",
        "mlp.dense_4h_to_h": "mlp.down",
    }
)
_NORMS = MappingProxyType({"word_embeddings_layernorm": "embedding.norm", "ln_f": "decoder.norm"})


@final
class Bloom(Family):
    """``model_type`` ``"bloom"``; there is no limit to the number of positions."""

    keys = ConfigKeys(
        read={
            "vocab_size": 250880,
            "hidden_size": 64,
            "n_layer": 2,
            "n_head": 8,
            "layer_norm_epsilon": 1e-5,
            "initializer_range": 0.02,
            "hidden_dropout": 0.0,
            "tie_word_embeddings": True,
            "pad_token_id": None,
            "n_embed": None,
        },
        refused={"apply_residual_connection_post_layernorm": False},
        # how it was trained, and how transformers may compute
        inert=key_set(
            "slow_but_exact skip_bias_add skip_bias_add_qkv seq_length attention_softmax_in_fp32 "
            "bias_dropout_fusion masked_softmax_fusion unk_token_id offset_alibi "
            "n_inner"
        ),
        aliases={"num_hidden_layers": "n_layer", "num_attention_heads": "n_head"},
    )

    layout = GgufArchitecture(class_name="BloomForCausalLM", biases=True)

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        width = config.whole("n_embed", config.whole("hidden_size"))
        vocab, heads = config.whole("vocab_size"), config.whole("n_head")
        norm = NormConfig(kind="layer", eps=config.number("layer_norm_epsilon"))
        return ModelConfig(
            embedding=EmbeddingConfig(width=width, vocab=vocab, norm=norm),
            decoder=TransformerConfig(
                width=width,
                layers=config.whole("n_layer"),
                attention=AttentionConfig(
                    width=width, heads=heads, bias=True, out_bias=True, alibi=1.0, rotary=None
                ),
                mlp=MlpConfig(hidden=4 * width, activation="gelu_tanh", gated=False, bias=True),
                norm=norm,
                causal=True,
                dropout=config.rate("hidden_dropout", 0.0),
            ),
            head=HeadConfig(
                width=width, size=vocab, tied=config.flag("tie_word_embeddings", default=True)
            ),
            init=InitConfig(scale=config.number("initializer_range")),
        )

    def write(self, config: ModelConfig) -> dict[str, Any]:
        stack, head = decoder_of(config), config.head
        if head is None:
            raise CheckpointError("expected a head")
        return {
            "architectures": ["BloomForCausalLM"],
            "model_type": "bloom",
            "vocab_size": head.size,
            "hidden_size": stack.width,
            "n_layer": stack.layers,
            "n_head": stack.attention.heads,
            "layer_norm_epsilon": stack.norm.eps,
            "hidden_dropout": stack.dropout,
            "initializer_range": config.init.scale if config.init else 0.02,
            "tie_word_embeddings": head.tied,
        }

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        heads = decoder_of(config).attention.heads
        body = (
            Rule("transformer.word_embeddings.weight", "embedding.tokens.weight"),
            *in_groups(layer_rules("transformer.h.{i}", _LAYER), heads),
            *(
                Rule(f"transformer.{theirs}.{leaf}", f"{ours}.{leaf}")
                for theirs, ours in _NORMS.items()
                for leaf in ("weight", "bias")
            ),
        )
        return (*with_optional_prefix("transformer.", body), Rule("lm_head.weight", "head.weight"))

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        del config
        return ()
