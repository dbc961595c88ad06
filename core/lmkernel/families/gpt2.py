"""The GPT-2 family (Radford et al. 2019): pre-norm decoder, learned positions, biases everywhere.

Its layers keep weights as (in, out), and queries, keys and values as one.

Dropout: ``embd_pdrop`` and ``resid_pdrop`` are read and written. Attention weights are not dropped
here: ``attn_pdrop`` is passed over in reading, and written equal to ``resid_pdrop``.
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
from lmkernel.families.family import ACTIVATIONS, Family, HfConfig, name_of_activation
from lmkernel.families.gated import decoder_of
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.names import Rule, with_optional_prefix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.families.sizes import Sizes

__all__ = ["Gpt2"]

_ACTIVATIONS: Mapping[str, str] = MappingProxyType({"gelu_new": "gelu_tanh", **ACTIVATIONS})
_PRODUCTS = MappingProxyType(
    {
        "attn.c_attn": ("attention.q", "attention.k", "attention.v"),
        "attn.c_proj": ("attention.o",),
        "mlp.c_fc": ("mlp.up",),
        "mlp.c_proj": ("mlp.down",),
    }
)
_NORMS = MappingProxyType({"ln_1": "attention_norm", "ln_2": "mlp_norm"})


def _rule(theirs: str, *ours: str, transpose: bool = False) -> Rule:
    return Rule(f"transformer.{theirs}", ours, transpose=transpose)


def _layer(theirs: str, *ours: str, transpose: bool = False) -> tuple[Rule, Rule]:
    names = [f"decoder.layers.{{i}}.{name}" for name in ours]
    return (
        _rule(f"h.{{i}}.{theirs}.weight", *(f"{n}.weight" for n in names), transpose=transpose),
        _rule(f"h.{{i}}.{theirs}.bias", *(f"{n}.bias" for n in names)),
    )


_BODY = (
    _rule("wte.weight", "embedding.tokens.weight"),
    _rule("wpe.weight", "embedding.positions.weight"),
    *(rule for theirs, ours in _NORMS.items() for rule in _layer(theirs, ours)),
    *(rule for theirs, ours in _PRODUCTS.items() for rule in _layer(theirs, *ours, transpose=True)),
    _rule("ln_f.weight", "decoder.norm.weight"),
    _rule("ln_f.bias", "decoder.norm.bias"),
)
_RULES = (*with_optional_prefix("transformer.", _BODY), Rule("lm_head.weight", "head.weight"))


@final
class Gpt2(Family):
    """``model_type`` ``"gpt2"``."""

    keys = ConfigKeys(
        read={
            "architectures": None,
            "vocab_size": 50257,
            "n_positions": 1024,
            "n_embd": 768,
            "n_layer": 12,
            "n_head": 12,
            "n_inner": None,
            "activation_function": "gelu_new",
            "resid_pdrop": 0.1,
            "embd_pdrop": 0.1,
            "layer_norm_epsilon": 1e-5,
            "initializer_range": 0.02,
            "scale_attn_weights": True,
            "tie_word_embeddings": True,
            "pad_token_id": None,
        },
        refused={"scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False},
        # the order of products in 16 bits, and heads of classes that are refused
        inert=key_set(
            "attn_pdrop n_ctx reorder_and_upcast_attn summary_type summary_use_proj "
            "summary_activation summary_proj_to_labels summary_first_dropout "
            "summary_hidden_size n_special predict_special_tokens"
        ),
        aliases={
            "hidden_size": "n_embd",
            "max_position_embeddings": "n_positions",
            "num_attention_heads": "n_head",
            "num_hidden_layers": "n_layer",
        },
    )

    layout = GgufArchitecture(
        class_name="GPT2LMHeadModel",
        biases=True,
        complete=lambda _, so_far: {"n_inner": so_far["intermediate_size"]},
    )

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        for name in config.names("architectures"):
            if name not in ("GPT2LMHeadModel", "GPT2Model"):
                raise config.error("architectures", "GPT2LMHeadModel", name)
        width, vocab = config.whole("n_embd"), config.whole("vocab_size")
        context = config.whole("n_positions")
        return ModelConfig(
            embedding=EmbeddingConfig(
                width=width,
                vocab=vocab,
                positions="learned",
                context=context,
                dropout=config.rate("embd_pdrop", 0.1),
            ),
            decoder=_decoder(config, width),
            head=HeadConfig(
                width=width, size=vocab, tied=config.flag("tie_word_embeddings", default=True)
            ),
            context=context,
            init=InitConfig(scale=config.number("initializer_range"), residual=True),
        )

    def write(self, config: ModelConfig) -> dict[str, Any]:
        stack, head = decoder_of(config), config.head
        if head is None:
            raise CheckpointError("expected a head")
        return {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "vocab_size": head.size,
            "n_positions": config.context,
            "n_embd": stack.width,
            "n_layer": stack.layers,
            "n_head": stack.attention.heads,
            "n_inner": stack.mlp.hidden,
            "activation_function": name_of_activation(stack.mlp.activation, _ACTIVATIONS),
            "scale_attn_weights": stack.attention.scale != 1,
            "layer_norm_epsilon": stack.norm.eps,
            "embd_pdrop": config.embedding.dropout,
            "resid_pdrop": stack.dropout,
            "attn_pdrop": stack.dropout,
            "tie_word_embeddings": head.tied,
            "initializer_range": config.init.scale if config.init else 0.02,
        }

    def new(self, sizes: Sizes) -> dict[str, Any]:
        return {
            "n_embd": sizes.width,
            "n_layer": sizes.layers,
            "n_head": sizes.heads,
            "n_inner": sizes.inner,
            "n_positions": sizes.context,
            "vocab_size": sizes.vocab,
            "resid_pdrop": sizes.dropout,
            "embd_pdrop": sizes.dropout,
            "attn_pdrop": 0.0,
        }

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        del config
        return _RULES

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        del config
        return ("*.attn.bias", "*.attn.masked_bias")


def _decoder(config: HfConfig, width: int) -> TransformerConfig:
    scaled = config.flag("scale_attn_weights", default=True)
    return TransformerConfig(
        width=width,
        layers=config.whole("n_layer"),
        attention=AttentionConfig(
            width=width,
            heads=config.whole("n_head"),
            bias=True,
            out_bias=True,
            scale=0.0 if scaled else 1.0,
        ),
        mlp=MlpConfig(
            hidden=config.whole("n_inner", 4 * width),
            activation=config.choice("activation_function", _ACTIVATIONS, "gelu_new"),
            gated=False,
            bias=True,
        ),
        norm=NormConfig(kind="layer", eps=config.number("layer_norm_epsilon")),
        causal=True,
        dropout=config.rate("resid_pdrop", 0.1),
    )
