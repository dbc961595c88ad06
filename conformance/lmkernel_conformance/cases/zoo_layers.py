"""Small models whose layers differ, or stand otherwise than in the first families."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.config import (
    AttentionConfig,
    DeltaConfig,
    EmbeddingConfig,
    ExpertsConfig,
    HeadConfig,
    LatentConfig,
    LayerConfig,
    MlpConfig,
    ModelConfig,
    NormConfig,
    RotaryConfig,
    TransformerConfig,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LAYERED"]

_VOCAB = 31


def _model(stack: TransformerConfig, *rotaries: RotaryConfig, **head: Any) -> ModelConfig:
    width = stack.width
    first, more = (rotaries[0], rotaries[1:]) if rotaries else (None, ())
    positions = "rotary" if rotaries else "none"
    return ModelConfig(
        embedding=EmbeddingConfig(
            width=width, vocab=_VOCAB, positions=positions, rotary=first, more_rotary=more
        ),
        decoder=stack,
        head=HeadConfig(width=width, size=_VOCAB, **head),
        context=40,
    )


def _gemma3() -> ModelConfig:
    """Norms before and after, windows with a RoPE of their own, norms of heads, w - 1."""
    norm = NormConfig(kind="rms", eps=1e-6, offset=1.0)
    whole = AttentionConfig(width=18, heads=4, kv_heads=2, head_dim=6, scale=0.3, qk_norm=norm)
    window = LayerConfig(attention=replace(whole, window=2, rotary=1))
    stack = TransformerConfig(
        width=18,
        layers=3,
        causal=True,
        attention=whole,
        mlp=MlpConfig(hidden=22, activation="gelu_tanh"),
        different=(window, LayerConfig(), window),
        norm=norm,
        output_norm=True,
    )
    long = RotaryConfig(dim=6, theta=1e6, scaling="linear", factor=8.0)
    return _model(stack, long, RotaryConfig(dim=6, theta=20.0), tied=True)


def _cohere2() -> ModelConfig:
    """Parallel layers through one norm, RoPE of neighbours or none, logits scaled."""
    turned = AttentionConfig(width=20, heads=5, kv_heads=1, window=3, interleaved=4)
    stack = TransformerConfig(
        width=20,
        layers=2,
        causal=True,
        attention=turned,
        mlp=MlpConfig(hidden=14),
        different=(LayerConfig(), LayerConfig(attention=replace(turned, window=None, rotary=None))),
        norm=NormConfig(kind="layer", eps=1e-5, bias=False),
        parallel=True,
        shared_norm=True,
    )
    return _model(stack, RotaryConfig(dim=4, theta=50.0), tied=True, scale=0.3)


def _olmo2() -> ModelConfig:
    """Norms of outputs alone, and of all heads together; YaRN; residuals and biases."""
    norm = NormConfig(kind="rms", eps=1e-6)
    attention = AttentionConfig(
        width=18,
        heads=3,
        kv_heads=1,
        head_dim=8,
        bias=True,
        out_bias=True,
        qk_norm=norm,
        qk_norm_whole=True,
    )
    stack = TransformerConfig(
        width=18,
        layers=2,
        causal=True,
        attention=attention,
        mlp=MlpConfig(hidden=20),
        norm=norm,
        pre_norm=False,
        output_norm=True,
        residual_scale=0.6,
    )
    yarn = RotaryConfig(
        dim=8,
        theta=100.0,
        scaling="yarn",
        factor=4.0,
        original_context=16,
        beta_fast=2.0,
        beta_slow=0.25,
        attention_factor=1.2,
    )
    return _model(stack, yarn)


def _bloom() -> ModelConfig:
    """Linear biases of six heads, which are no power of two; parallel layers with two norms."""
    stack = TransformerConfig(
        width=18,
        layers=2,
        causal=True,
        attention=AttentionConfig(
            width=18, heads=6, bias=True, out_bias=True, alibi=0.7, rotary=None
        ),
        mlp=MlpConfig(hidden=16, activation="gelu_tanh", gated=False, bias=True),
        norm=NormConfig(kind="layer", eps=1e-5),
        parallel=True,
    )
    return _model(stack, tied=True)


def _mixture(experts: ExpertsConfig, layers: int = 2, **more: Any) -> ModelConfig:
    stack = TransformerConfig(
        width=12,
        layers=layers,
        causal=True,
        attention=AttentionConfig(width=12, heads=3, kv_heads=1, head_dim=4),
        mlp=MlpConfig(hidden=9, experts=experts),
        **more,
    )
    return _model(stack, RotaryConfig(dim=4, theta=50.0))


def _qwen_moe() -> ModelConfig:
    """Three of five experts as their scores are, one for all with a gate, and a dense layer."""
    experts = ExpertsConfig(
        count=5, chosen=3, hidden=7, renormalize=False, shared=6, shared_gate=True
    )
    dense = LayerConfig(mlp=MlpConfig(hidden=9))
    return _mixture(experts, different=(dense, LayerConfig()))


def _deepseek_moe() -> ModelConfig:
    """Sigmoids, a bias for the choice, two of three groups by their two best, a scale.

    Before them, one of two groups by its very best.
    """
    first = ExpertsConfig(count=6, chosen=2, hidden=5, groups=2, chosen_groups=1)
    second = ExpertsConfig(
        count=9,
        chosen=2,
        hidden=5,
        scoring="sigmoid",
        choice_bias=True,
        groups=3,
        chosen_groups=2,
        group_score="top_two",
        scale=1.7,
        shared=4,
    )
    before = LayerConfig(mlp=MlpConfig(hidden=9, experts=first))
    return _mixture(second, layers=3, different=(before, LayerConfig(), LayerConfig()))


def _gpt_oss() -> ModelConfig:
    """Sinks, beside a window and without; experts with biases, and gates with bounds."""
    whole = AttentionConfig(width=12, heads=4, kv_heads=2, head_dim=4, bias=True, sinks=True)
    window = LayerConfig(attention=replace(whole, window=3))
    experts = ExpertsConfig(count=4, chosen=2, hidden=6, router_bias=True)
    stack = TransformerConfig(
        width=12,
        layers=2,
        causal=True,
        attention=whole,
        mlp=MlpConfig(hidden=6, bias=True, limit=0.5, slope=1.7, shift=1.0, experts=experts),
        different=(window, LayerConfig()),
    )
    return _model(stack, RotaryConfig(dim=4, theta=50.0))


def _deepseek() -> ModelConfig:
    """Keys and values from one small vector, and queries from another; neighbours turn."""
    latent = LatentConfig(rank=7, turned=4, value_dim=5, query_rank=9, norm=NormConfig(kind="rms"))
    stack = TransformerConfig(
        width=14,
        layers=2,
        causal=True,
        attention=AttentionConfig(
            kind="latent",
            width=14,
            heads=3,
            head_dim=10,
            bias=True,
            scale=0.4,
            latent=latent,
            interleaved=4,
        ),
        mlp=MlpConfig(hidden=11),
    )
    return _model(stack, RotaryConfig(dim=4, theta=50.0))


def _qwen35() -> ModelConfig:
    """Two layers of the delta rule, whose keys are shared, to one of attention with a gate."""
    norm = NormConfig(kind="rms", eps=1e-6, offset=1.0)
    whole = AttentionConfig(
        width=14, heads=3, kv_heads=1, head_dim=6, bias=True, qk_norm=norm, gated=True
    )
    own = DeltaConfig(key_heads=2, key_dim=5, taps=3, norm=NormConfig(kind="rms", eps=1e-4))
    delta = LayerConfig(
        attention=AttentionConfig(kind="delta", width=14, heads=4, head_dim=3, delta=own)
    )
    stack = TransformerConfig(
        width=14,
        layers=3,
        causal=True,
        attention=whole,
        mlp=MlpConfig(hidden=11),
        different=(delta, LayerConfig(), delta),
        norm=norm,
    )
    return _model(stack, RotaryConfig(dim=4, theta=50.0))


LAYERED: Mapping[str, ModelConfig] = MappingProxyType(
    {
        "gemma3": _gemma3(),
        "cohere2": _cohere2(),
        "olmo2": _olmo2(),
        "bloom": _bloom(),
        "qwen_moe": _qwen_moe(),
        "deepseek_moe": _deepseek_moe(),
        "gpt_oss": _gpt_oss(),
        "deepseek": _deepseek(),
        "qwen35": _qwen35(),
    }
)
"""By name; all of them are decoders."""
