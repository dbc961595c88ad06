"""The Llama family: pre-norm decoder, RMSNorm, rotary positions, gated SiLU (arXiv:2302.13971)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    HeadConfig,
    MlpConfig,
    ModelConfig,
    NormConfig,
    RotaryConfig,
    TransformerConfig,
)
from lmkernel.families.family import Family, HfConfig
from lmkernel.families.names import Rule

if TYPE_CHECKING:
    from lmkernel.config import StackConfig

__all__ = ["Llama"]

_ACTIVATIONS = {"silu": "silu", "gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu"}
_ROTARY = {"default": "none", "linear": "linear", "llama3": "llama3"}
_LAYER = "decoder.layers.{i}."
_THEIRS = "model.layers.{i}."
_NAMES = (
    ("model.embed_tokens.weight", "embedding.tokens.weight"),
    (_THEIRS + "input_layernorm.weight", _LAYER + "attention_norm.weight"),
    (_THEIRS + "self_attn.q_proj.weight", _LAYER + "attention.q.weight"),
    (_THEIRS + "self_attn.q_proj.bias", _LAYER + "attention.q.bias"),
    (_THEIRS + "self_attn.k_proj.weight", _LAYER + "attention.k.weight"),
    (_THEIRS + "self_attn.k_proj.bias", _LAYER + "attention.k.bias"),
    (_THEIRS + "self_attn.v_proj.weight", _LAYER + "attention.v.weight"),
    (_THEIRS + "self_attn.v_proj.bias", _LAYER + "attention.v.bias"),
    (_THEIRS + "self_attn.o_proj.weight", _LAYER + "attention.o.weight"),
    (_THEIRS + "self_attn.o_proj.bias", _LAYER + "attention.o.bias"),
    (_THEIRS + "post_attention_layernorm.weight", _LAYER + "mlp_norm.weight"),
    (_THEIRS + "mlp.gate_proj.weight", _LAYER + "mlp.gate.weight"),
    (_THEIRS + "mlp.gate_proj.bias", _LAYER + "mlp.gate.bias"),
    (_THEIRS + "mlp.up_proj.weight", _LAYER + "mlp.up.weight"),
    (_THEIRS + "mlp.up_proj.bias", _LAYER + "mlp.up.bias"),
    (_THEIRS + "mlp.down_proj.weight", _LAYER + "mlp.down.weight"),
    (_THEIRS + "mlp.down_proj.bias", _LAYER + "mlp.down.bias"),
    ("model.norm.weight", "decoder.norm.weight"),
    ("lm_head.weight", "head.weight"),
)


@final
class Llama(Family):
    """``model_type`` ``"llama"``."""

    def read(self, config: HfConfig) -> ModelConfig:
        width, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
        head_dim = config.whole("head_dim", max(1, width // heads))
        vocab, context = config.whole("vocab_size"), config.whole("max_position_embeddings", 2048)
        return ModelConfig(
            embedding=EmbeddingConfig(
                width=width,
                vocab=vocab,
                positions="rotary",
                rotary=_rotary(config, head_dim),
            ),
            decoder=_decoder(config, width, heads, head_dim),
            head=HeadConfig(
                width=width, size=vocab, tied=config.flag("tie_word_embeddings", default=False)
            ),
            context=context,
        )

    def write(self, config: ModelConfig) -> dict[str, Any]:
        stack, rotary, head = config.decoder, config.embedding.rotary, config.head
        if not isinstance(stack, TransformerConfig) or rotary is None or head is None:
            raise TypeError("expected a decoder of transformer layers with rotary positions")
        attention = stack.attention
        written = {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": stack.width,
            "intermediate_size": stack.mlp.hidden,
            "num_hidden_layers": stack.layers,
            "num_attention_heads": attention.heads,
            "num_key_value_heads": attention.kv_heads,
            "head_dim": attention.head_dim,
            "hidden_act": {ours: theirs for theirs, ours in _ACTIVATIONS.items()}[
                stack.mlp.activation
            ],
            "rms_norm_eps": stack.norm.eps,
            "attention_bias": attention.bias,
            "mlp_bias": stack.mlp.bias,
            "vocab_size": head.size,
            "max_position_embeddings": config.context,
            "tie_word_embeddings": head.tied,
            "rope_theta": rotary.theta,
        }
        if rotary.scaling != "none":
            written["rope_scaling"] = _written_scaling(rotary)
        return written

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        del config
        return tuple(Rule(theirs, ours) for theirs, ours in _NAMES)

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        tied = config.head is not None and config.head.tied
        return ("*.rotary_emb.inv_freq", *(("lm_head.weight",) if tied else ()))


def _decoder(config: HfConfig, width: int, heads: int, head_dim: int) -> StackConfig:
    bias = config.flag("attention_bias", default=False)
    return TransformerConfig(
        width=width,
        layers=config.whole("num_hidden_layers"),
        attention=AttentionConfig(
            width=width,
            heads=heads,
            kv_heads=config.whole("num_key_value_heads", heads),
            head_dim=head_dim,
            bias=bias,
            out_bias=bias,
        ),
        mlp=MlpConfig(
            hidden=config.whole("intermediate_size"),
            activation=config.choice("hidden_act", _ACTIVATIONS, "silu"),
            bias=config.flag("mlp_bias", default=False),
        ),
        norm=NormConfig(kind="rms", eps=config.number("rms_norm_eps", 1e-6)),
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


def _written_scaling(rotary: RotaryConfig) -> dict[str, Any]:
    written: dict[str, Any] = {"rope_type": rotary.scaling, "factor": rotary.factor}
    if rotary.scaling == "llama3":
        written["low_freq_factor"] = rotary.low_freq_factor
        written["high_freq_factor"] = rotary.high_freq_factor
        written["original_max_position_embeddings"] = rotary.original_context
    return written
