"""Llama and its kin: pre-norm decoder, RMSNorm, rotary positions, gated MLP (arXiv:2302.13971).

They share names and shape, and differ in which products have biases, in how far back a position
sees and in norms inside attention; each family's file says how.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    RotaryConfig,
    TransformerConfig,
)
from lmkernel.errors import CheckpointError
from lmkernel.families.family import ACTIVATIONS, Family, name_of_activation
from lmkernel.families.names import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.families.family import HfConfig
    from lmkernel.families.sizes import Sizes

__all__ = ["RULES", "GatedFamily", "Traits", "decoder_of", "read_gated", "write_gated"]

_ROTARY: Mapping[str, str] = MappingProxyType(
    {"default": "none", "linear": "linear", "llama3": "llama3"}
)
_LAYER = MappingProxyType(
    {
        "input_layernorm": "attention_norm",
        "self_attn.q_proj": "attention.q",
        "self_attn.k_proj": "attention.k",
        "self_attn.v_proj": "attention.v",
        "self_attn.o_proj": "attention.o",
        "post_attention_layernorm": "mlp_norm",
        "mlp.gate_proj": "mlp.gate",
        "mlp.up_proj": "mlp.up",
        "mlp.down_proj": "mlp.down",
    }
)
RULES = (
    Rule("model.embed_tokens.weight", "embedding.tokens.weight"),
    *(
        Rule(f"model.layers.{{i}}.{theirs}.{leaf}", f"decoder.layers.{{i}}.{ours}.{leaf}")
        for theirs, ours in _LAYER.items()
        for leaf in ("weight", "bias")
    ),
    Rule("model.norm.weight", "decoder.norm.weight"),
    Rule("lm_head.weight", "head.weight"),
)
"""The names of all of them; a rule for what a model does not have is passed over."""


@final
@dataclass(frozen=True, kw_only=True)
class Traits:
    """What tells one of them from the others.

    Args:
        bias: whether queries, keys and values have biases.
        out_bias: whether the attention's output has a bias.
        mlp_bias: whether the MLP's products have biases.
        qk_norm: whether heads of queries and keys are normalised.
        head_dim: size of a head where the configuration does not say; 0 for ``width / heads``.
        window: number of positions back that a query sees, itself included; None for all.
        context: positions of a model whose configuration does not say.
    """

    bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    head_dim: int = 0
    window: int | None = None
    context: int


def read_gated(config: HfConfig, traits: Traits) -> ModelConfig:
    """Our configuration.

    ``initializer_range``, where it is there, is the standard deviation of the initial weights.
    """
    width, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    head_dim = config.whole("head_dim", traits.head_dim or max(1, width // heads))
    vocab = config.whole("vocab_size")
    deviation = "initializer_range"
    return ModelConfig(
        embedding=EmbeddingConfig(
            width=width, vocab=vocab, positions="rotary", rotary=_rotary(config, head_dim)
        ),
        decoder=_decoder(config, traits, head_dim),
        head=HeadConfig(
            width=width, size=vocab, tied=config.flag("tie_word_embeddings", default=False)
        ),
        context=config.whole("max_position_embeddings", traits.context),
        init=InitConfig(scale=config.number(deviation)) if config.has(deviation) else None,
    )


def _decoder(config: HfConfig, traits: Traits, head_dim: int) -> TransformerConfig:
    width, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    norm = NormConfig(kind="rms", eps=config.number("rms_norm_eps", 1e-6))
    return TransformerConfig(
        width=width,
        layers=config.whole("num_hidden_layers"),
        attention=AttentionConfig(
            width=width,
            heads=heads,
            kv_heads=config.whole("num_key_value_heads", heads),
            head_dim=head_dim,
            bias=traits.bias,
            out_bias=traits.out_bias,
            window=traits.window,
            qk_norm=norm if traits.qk_norm else None,
        ),
        mlp=MlpConfig(
            hidden=config.whole("intermediate_size"),
            activation=config.choice("hidden_act", ACTIVATIONS, "silu"),
            bias=traits.mlp_bias,
        ),
        norm=norm,
        causal=True,
    )


def _rotary(config: HfConfig, head_dim: int) -> RotaryConfig:
    """From ``rope_parameters`` (transformers 5), or ``rope_theta`` and ``rope_scaling``."""
    scaling = config.part("rope_parameters", "rope_scaling")
    theta = config.number("rope_theta", 10000.0)
    if scaling is None:
        return RotaryConfig(dim=head_dim, theta=theta)
    key = "rope_type" if scaling.has("rope_type") else "type"
    kind = scaling.choice(key, _ROTARY, "default")
    return RotaryConfig(
        dim=head_dim,
        theta=scaling.number("rope_theta", theta),
        scaling=kind,
        factor=scaling.number("factor", 1.0),
        low_freq_factor=scaling.number("low_freq_factor", 1.0),
        high_freq_factor=scaling.number("high_freq_factor", 4.0),
        original_context=scaling.whole("original_max_position_embeddings", 8192),
    )


def decoder_of(config: ModelConfig) -> TransformerConfig:
    """The one stack that a family of decoders writes; `CheckpointError` if there is another."""
    stack = config.decoder
    if not isinstance(stack, TransformerConfig) or config.encoder is not None:
        raise CheckpointError("expected a decoder of transformer layers, and no encoder")
    return stack


def write_gated(config: ModelConfig, model_type: str, architecture: str) -> dict[str, Any]:
    """The Hugging Face configuration, but for what a family adds of its own."""
    stack, rotary, head = decoder_of(config), config.embedding.rotary, config.head
    if rotary is None or head is None:
        raise CheckpointError("expected rotary positions and a head")
    written = {
        "architectures": [architecture],
        "model_type": model_type,
        "hidden_size": stack.width,
        "intermediate_size": stack.mlp.hidden,
        "num_hidden_layers": stack.layers,
        "num_attention_heads": stack.attention.heads,
        "num_key_value_heads": stack.attention.kv_heads,
        "head_dim": stack.attention.head_dim,
        "hidden_act": name_of_activation(stack.mlp.activation),
        "rms_norm_eps": stack.norm.eps,
        "vocab_size": head.size,
        "max_position_embeddings": config.context,
        "tie_word_embeddings": head.tied,
        "rope_theta": rotary.theta,
    }
    if rotary.scaling != "none":
        written["rope_scaling"] = _write_scaling(rotary)
    if config.init is not None:
        written["initializer_range"] = config.init.scale
    return written


def _write_scaling(rotary: RotaryConfig) -> dict[str, Any]:
    written: dict[str, Any] = {"rope_type": rotary.scaling, "factor": rotary.factor}
    if rotary.scaling == "llama3":
        written["low_freq_factor"] = rotary.low_freq_factor
        written["high_freq_factor"] = rotary.high_freq_factor
        written["original_max_position_embeddings"] = rotary.original_context
    return written


class GatedFamily(Family):
    """What all of them share; a family says how its configuration is read and written."""

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        del config
        return RULES

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        """Buffers, and the copy of a tied head."""
        tied = config.head is not None and config.head.tied
        return ("*.rotary_emb.inv_freq", *(("lm_head.weight",) if tied else ()))

    def new(self, sizes: Sizes) -> dict[str, Any]:
        return {
            "hidden_size": sizes.width,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "num_key_value_heads": sizes.heads,
            "head_dim": max(1, sizes.width // sizes.heads),
            "intermediate_size": sizes.inner,
            "max_position_embeddings": sizes.context,
            "vocab_size": sizes.vocab,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": True,
        }
