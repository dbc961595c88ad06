"""The OPT family (arXiv:2205.01068): learned positions, looked up two rows further down."""

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
from lmkernel.families.family import ACTIVATIONS, Family, name_of_activation
from lmkernel.families.gated import decoder_of
from lmkernel.families.names import Rule, layer_rules, with_optional_prefix

if TYPE_CHECKING:
    from lmkernel.families.hf_config import HfConfig
    from lmkernel.families.sizes import Sizes

__all__ = ["Opt"]

_OFFSET = 2
_LAYER = MappingProxyType(
    {
        "self_attn_layer_norm": "attention_norm",
        "self_attn.q_proj": "attention.q",
        "self_attn.k_proj": "attention.k",
        "self_attn.v_proj": "attention.v",
        "self_attn.out_proj": "attention.o",
        "final_layer_norm": "mlp_norm",
        "fc1": "mlp.up",
        "fc2": "mlp.down",
    }
)


@final
class Opt(Family):
    """``model_type`` ``"opt"``; embeddings of another width than the layers' are refused."""

    keys = ConfigKeys(
        read={
            "vocab_size": 50272,
            "hidden_size": 768,
            "num_hidden_layers": 12,
            "ffn_dim": 3072,
            "max_position_embeddings": 2048,
            "do_layer_norm_before": True,
            "word_embed_proj_dim": None,
            "dropout": 0.1,
            "num_attention_heads": 12,
            "activation_function": "relu",
            "init_std": 0.02,
            "enable_bias": True,
            "tie_word_embeddings": True,
            "pad_token_id": 1,
        },
        nullable=frozenset({"pad_token_id"}),
        refused={
            "_remove_final_layer_norm": False,
            "layer_norm_elementwise_affine": True,
        },
        inert=key_set("layerdrop activation_dropout"),
    )

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        width, vocab = config.whole("hidden_size"), config.whole("vocab_size")
        config.refuse(word_embed_proj_dim=width)
        context = config.whole("max_position_embeddings")
        bias = config.flag("enable_bias", default=True)
        before = config.flag("do_layer_norm_before", default=True)
        return ModelConfig(
            embedding=EmbeddingConfig(
                width=width, vocab=vocab, positions="learned", context=context, offset=_OFFSET
            ),
            decoder=TransformerConfig(
                width=width,
                layers=config.whole("num_hidden_layers"),
                attention=AttentionConfig(
                    width=width,
                    heads=config.whole("num_attention_heads"),
                    bias=bias,
                    out_bias=bias,
                ),
                mlp=MlpConfig(
                    hidden=config.whole("ffn_dim"),
                    activation=config.choice("activation_function", ACTIVATIONS, "relu"),
                    gated=False,
                    bias=bias,
                ),
                norm=NormConfig(kind="layer"),
                pre_norm=before,
                final_norm=before,
                causal=True,
                dropout=config.rate("dropout", 0.1),
            ),
            head=HeadConfig(
                width=width, size=vocab, tied=config.flag("tie_word_embeddings", default=True)
            ),
            context=context,
            init=InitConfig(scale=config.number("init_std")),
        )

    def write(self, config: ModelConfig) -> dict[str, Any]:
        stack, head = decoder_of(config), config.head
        if head is None:
            raise CheckpointError("expected a head")
        return {
            "architectures": ["OPTForCausalLM"],
            "model_type": "opt",
            "vocab_size": head.size,
            "hidden_size": stack.width,
            "word_embed_proj_dim": stack.width,
            "num_hidden_layers": stack.layers,
            "num_attention_heads": stack.attention.heads,
            "ffn_dim": stack.mlp.hidden,
            "activation_function": name_of_activation(stack.mlp.activation),
            "max_position_embeddings": config.context,
            "do_layer_norm_before": stack.pre_norm,
            "enable_bias": stack.attention.bias,
            "dropout": stack.dropout,
            "init_std": config.init.scale if config.init else 0.02,
            "tie_word_embeddings": head.tied,
        }

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        del config
        body = (
            Rule("model.decoder.embed_tokens.weight", "embedding.tokens.weight"),
            Rule("model.decoder.embed_positions.weight", "embedding.positions.weight"),
            *layer_rules("model.decoder.layers.{i}", _LAYER),
            *(
                Rule(f"model.decoder.final_layer_norm.{leaf}", f"decoder.norm.{leaf}")
                for leaf in ("weight", "bias")
            ),
        )
        return (*with_optional_prefix("model.", body), Rule("lm_head.weight", "head.weight"))

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        del config
        return ()

    def new(self, sizes: Sizes) -> dict[str, Any]:
        return {
            "vocab_size": sizes.vocab,
            "hidden_size": sizes.width,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "ffn_dim": sizes.inner,
            "max_position_embeddings": sizes.context,
            "dropout": sizes.dropout,
        }
