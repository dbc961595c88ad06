"""Llama and its kin: pre-norm decoder, RMSNorm, rotary positions, gated MLP (arXiv:2302.13971).

They share names and shape, and differ in which products have biases, in how far back a position
sees and in norms inside attention; each family's file says how.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, final

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
from lmkernel.families.carried import Carried, values_of_keys, with_fields, with_keys
from lmkernel.families.config_keys import ConfigKeys
from lmkernel.families.family import ACTIVATIONS, Family, name_of_activation
from lmkernel.families.names import Rule, layer_rules, with_optional_prefix
from lmkernel.families.rope import ROPE_KEYS, read_rope, write_rope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.families.family import HfConfig
    from lmkernel.families.sizes import Sizes

__all__ = [
    "GATED_KEYS",
    "LAYER",
    "RULES",
    "GatedFamily",
    "Traits",
    "decoder_of",
    "read_gated",
    "with_changes",
    "write_gated",
]

LAYER = MappingProxyType(
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
"""Llama's names of the parts of a layer, each with ours."""


RULES = (
    Rule("model.embed_tokens.weight", "embedding.tokens.weight"),
    *layer_rules("model.layers.{i}", LAYER),
    Rule("model.norm.weight", "decoder.norm.weight"),
    Rule("lm_head.weight", "head.weight"),
)
"""The names of most of them; a rule for what a model does not have is passed over."""


def gated_rules(layer: Mapping[str, str | tuple[str, ...]]) -> tuple[Rule, ...]:
    """Rules for the names of a layer's parts, and for what is the same in all of these families."""
    first, *_, norm, head = RULES
    biases = (Rule("model.norm.bias", "decoder.norm.bias"), Rule("lm_head.bias", "head.bias"))
    return (first, *layer_rules("model.layers.{i}", layer), norm, head, *biases)


GATED_KEYS = ConfigKeys(
    read={
        **ROPE_KEYS,
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": None,
        "head_dim": None,
        "hidden_act": "silu",
        "max_position_embeddings": 2048,
        "initializer_range": 0.02,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "pad_token_id": None,
    },
    refused={"partial_rotary_factor": 1.0},
)
"""The keys of Llama, from which others differ."""


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
        context: positions of a model whose configuration does not say, in a family without keys.
        partial: the share of a head that RoPE turns where nothing says, in a family of which not
            all may be turned; None in the others.
    """

    bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    head_dim: int = 0
    window: int | None = None
    context: int = 2048
    partial: float | None = None


def read_gated(config: HfConfig, traits: Traits) -> ModelConfig:
    """Our configuration.

    ``initializer_range``, where it is there, is the standard deviation of the initial weights.
    """
    width, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    head_dim = config.whole("head_dim", traits.head_dim or max(1, width // heads))
    vocab = config.whole("vocab_size")
    context = config.whole("max_position_embeddings", traits.context)
    rotary = read_rope(config, head_dim, context, partial=traits.partial)
    deviation = config.number("initializer_range", 0.0)
    return ModelConfig(
        embedding=EmbeddingConfig(width=width, vocab=vocab, positions="rotary", rotary=rotary),
        decoder=_decoder(config, traits, head_dim),
        head=HeadConfig(
            width=width, size=vocab, tied=config.flag("tie_word_embeddings", default=False)
        ),
        context=context,
        init=InitConfig(scale=deviation) if deviation else None,
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


def decoder_of(config: ModelConfig) -> TransformerConfig:
    """The one stack that a family of decoders writes; `CheckpointError` if there is another."""
    stack = config.decoder
    if not isinstance(stack, TransformerConfig) or config.encoder is not None:
        raise CheckpointError("expected a decoder of transformer layers, and no encoder")
    return stack


def with_changes(
    model: ModelConfig,
    *,
    embedding: Mapping[str, Any] = MappingProxyType({}),
    stack: Mapping[str, Any] = MappingProxyType({}),
    attention: Mapping[str, Any] = MappingProxyType({}),
    mlp: Mapping[str, Any] = MappingProxyType({}),
    head: Mapping[str, Any] = MappingProxyType({}),
) -> ModelConfig:
    """A decoder's configuration with other fields in its parts."""
    before = decoder_of(model)
    after = replace(
        before,
        **{
            "attention": replace(before.attention, **attention),
            "mlp": replace(before.mlp, **mlp),
            **stack,
        },
    )
    return replace(
        model,
        embedding=replace(model.embedding, **embedding),
        decoder=after,
        head=model.head and replace(model.head, **head),
    )


def write_partial(config: ModelConfig, model_type: str, architecture: str) -> dict[str, Any]:
    """The same as `write_gated`, of a family of which not all of a head may be turned."""
    written = write_gated(config, model_type, architecture)
    rotary, head_dim = config.embedding.rotary, decoder_of(config).attention.head_dim
    return (
        written if rotary is None else {**written, **write_rope(rotary, config.context, head_dim)}
    )


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
        **write_rope(rotary, config.context),
    }
    if config.init is not None:
        written["initializer_range"] = config.init.scale
    return written


class GatedFamily(Family):
    """What all of them share.

    A family says in tables what it has of its own. What no table says, it says by `adapt` and
    `own_keys`, or by `read` and `write` as wholes.

    Attributes:
        model_type: what its configurations say.
        class_name: transformers' class of its models that predict the next token.
        traits: what tells it from the others, whatever a configuration says.
        carried: keys that stand for a field each, with its path in our configuration, as in
            ``decoder.attention.bias``, or with the paths of several that are equal.
        fixed: fields that have one value in all of its models, by their paths.
        layer: the names of the parts of a layer, each with ours, or with several of ours whose rows
            it holds one after the other.
        more: further rules.
    """

    model_type: ClassVar[str] = ""
    class_name: ClassVar[str] = ""
    traits: ClassVar[Traits] = Traits()
    carried: ClassVar[Carried] = MappingProxyType({})
    fixed: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    layer: ClassVar[Mapping[str, str | tuple[str, ...]]] = LAYER
    more: ClassVar[tuple[Rule, ...]] = ()

    def read(self, config: HfConfig) -> ModelConfig:
        keys = self.keys or GATED_KEYS
        config = keys.complete(config)
        model = with_fields(read_gated(config, self.traits), self.fixed)
        return self.adapt(with_keys(model, config, self.carried, keys.read), config)

    def adapt(self, model: ModelConfig, config: HfConfig) -> ModelConfig:
        """The model with what no key says alone; ``config`` has all its keys."""
        del config
        return model

    def write(self, config: ModelConfig) -> dict[str, Any]:
        written = write_gated if self.traits.partial is None else write_partial
        return {
            **written(config, self.model_type, self.class_name),
            **values_of_keys(config, self.carried),
            **self.own_keys(config),
        }

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        """The keys of what `adapt` reads."""
        del config
        return {}

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        del config
        return with_optional_prefix("model.", (*gated_rules(self.layer), *self.more))

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        """Buffers, which follow from the configuration."""
        del config
        return tuple(f"*rotary_emb.{buffer}" for buffer in ("inv_freq", "cos_cached", "sin_cached"))

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
