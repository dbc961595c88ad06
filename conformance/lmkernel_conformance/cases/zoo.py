"""Small models of every shape, with sizes that all differ and no setting at its default."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    HeadConfig,
    HeadTransformConfig,
    MlpConfig,
    ModelConfig,
    NormConfig,
    PrecisionPolicy,
    RecurrentConfig,
    RotaryConfig,
    TransformerConfig,
)
from lmkernel.model import Model
from lmkernel.parameters import flatten
from lmkernel_conformance.cases.zoo_layers import LAYERED
from lmkernel_conformance.inputs import parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.subject import Subject

__all__ = ["ZOO", "build_model", "values"]

_VOCAB = 31


def _llama() -> ModelConfig:
    """Pre-norm, RMS norm, RoPE with theta 5e5 on part of a head, gated SiLU, tied head."""
    rotary = RotaryConfig(dim=4, theta=5e5)
    attention = AttentionConfig(width=24, heads=6, kv_heads=2, head_dim=6)
    return ModelConfig(
        embedding=EmbeddingConfig(width=24, vocab=_VOCAB, positions="rotary", rotary=rotary),
        decoder=TransformerConfig(
            width=24, layers=2, causal=True, attention=attention, mlp=MlpConfig(hidden=20)
        ),
        head=HeadConfig(width=24, size=_VOCAB, tied=True),
        context=40,
    )


def _gpt2() -> ModelConfig:
    """Pre-norm, layer norm, learned positions, tanh GELU, biases everywhere."""
    attention = AttentionConfig(width=20, heads=4, bias=True, out_bias=True)
    return ModelConfig(
        embedding=EmbeddingConfig(width=20, vocab=_VOCAB, positions="learned", context=40),
        decoder=TransformerConfig(
            width=20,
            layers=2,
            causal=True,
            attention=attention,
            mlp=MlpConfig(hidden=28, activation="gelu_tanh", gated=False, bias=True),
            norm=NormConfig(kind="layer", eps=1e-5),
        ),
        head=HeadConfig(width=20, size=_VOCAB, tied=True),
        context=40,
    )


def _gemma() -> ModelConfig:
    """Weights stored as w - 1, scaled embedding, soft-capped scores and logits, window of three."""
    rotary = RotaryConfig(dim=6, theta=1e4, scaling="linear", factor=2.0)
    attention = AttentionConfig(
        width=18, heads=4, kv_heads=1, head_dim=6, scale=0.31, softcap=2.5, window=3
    )
    return ModelConfig(
        embedding=EmbeddingConfig(
            width=18, vocab=_VOCAB, positions="rotary", rotary=rotary, scale=math.sqrt(18)
        ),
        decoder=TransformerConfig(
            width=18,
            layers=2,
            causal=True,
            attention=attention,
            mlp=MlpConfig(hidden=26, activation="gelu_tanh"),
            norm=NormConfig(kind="rms", eps=1e-6, offset=1.0),
        ),
        head=HeadConfig(width=18, size=_VOCAB, bias=True, softcap=5.0),
        context=40,
    )


def _qwen3() -> ModelConfig:
    """Heads of queries and keys normalised before RoPE, wider together than the hidden size."""
    rotary = RotaryConfig(dim=8, theta=1e6)
    attention = AttentionConfig(
        width=18, heads=3, kv_heads=1, head_dim=8, qk_norm=NormConfig(kind="rms", eps=1e-6)
    )
    return ModelConfig(
        embedding=EmbeddingConfig(width=18, vocab=_VOCAB, positions="rotary", rotary=rotary),
        decoder=TransformerConfig(
            width=18, layers=2, causal=True, attention=attention, mlp=MlpConfig(hidden=22)
        ),
        head=HeadConfig(width=18, size=_VOCAB, tied=True),
        context=40,
    )


def _bert(head: HeadConfig) -> ModelConfig:
    """Post-norm encoder with segments, learned positions and a norm after the embedding."""
    norm = NormConfig(kind="layer", eps=1e-12)
    return ModelConfig(
        embedding=EmbeddingConfig(
            width=24, vocab=_VOCAB, positions="learned", context=12, segments=2, norm=norm
        ),
        encoder=TransformerConfig(
            width=24,
            layers=2,
            attention=AttentionConfig(width=24, heads=3, bias=True, out_bias=True),
            mlp=MlpConfig(hidden=20, activation="gelu", gated=False, bias=True),
            norm=norm,
            pre_norm=False,
            final_norm=False,
        ),
        head=head,
        context=12,
    )


def _probabilities() -> HeadConfig:
    """A head that gives the probability of every token at every position."""
    return HeadConfig(width=24, size=_VOCAB, bias=True, activation="softmax")


def _masked_lm_head() -> HeadConfig:
    """A masked-LM head: a dense layer and a norm, then the embedding's table with a bias."""
    norm = NormConfig(kind="layer", eps=1e-6)
    transform = HeadTransformConfig(activation="gelu", norm=norm)
    return HeadConfig(width=24, size=_VOCAB, tied=True, bias=True, transform=transform)


def _classes() -> HeadConfig:
    """A classification head: a dense layer over each row's first position, then five classes."""
    transform = HeadTransformConfig(activation="tanh")
    return HeadConfig(width=24, size=5, bias=True, pooling="first", transform=transform)


def _t5() -> ModelConfig:
    """Encoder and decoder of different hidden sizes, cross-attention, an embedding for each."""
    norm = NormConfig(kind="rms", eps=1e-6)
    return ModelConfig(
        embedding=EmbeddingConfig(width=20, vocab=17, positions="sinusoidal"),
        encoder=TransformerConfig(
            width=20,
            layers=2,
            attention=AttentionConfig(width=20, heads=4, head_dim=6),
            mlp=MlpConfig(hidden=22, activation="relu", gated=False),
            norm=norm,
        ),
        target_embedding=EmbeddingConfig(width=24, vocab=_VOCAB, positions="sinusoidal"),
        decoder=TransformerConfig(
            width=24,
            layers=2,
            causal=True,
            attention=AttentionConfig(width=24, heads=3, bias=True),
            cross=AttentionConfig(width=24, heads=6, kv_heads=2, head_dim=5, memory_width=20),
            mlp=MlpConfig(hidden=18, activation="gelu"),
            norm=norm,
        ),
        head=HeadConfig(width=24, size=_VOCAB, bias=True),
        context=40,
    )


def _recurrent(cell: str) -> ModelConfig:
    """Two layers; the encoder reads in both directions, the decoder starts from its last states."""
    return ModelConfig(
        embedding=EmbeddingConfig(width=7, vocab=17),
        encoder=RecurrentConfig(input_width=7, width=4, layers=2, cell=cell, bidirectional=True),
        target_embedding=EmbeddingConfig(width=6, vocab=_VOCAB),
        decoder=RecurrentConfig(input_width=6, width=8, layers=2, cell=cell),
        head=HeadConfig(width=8, size=_VOCAB, bias=True),
    )


def _tutorial() -> ModelConfig:
    """The tutorial's encoder and decoder: from vectors of three back to vectors of three."""
    return ModelConfig(
        embedding=EmbeddingConfig(kind="vectors", width=3),
        encoder=FeedForwardConfig(widths=(3, 128, 64, 32, 16)),
        decoder=FeedForwardConfig(widths=(16, 32, 64, 128, 3), final_activation="none"),
    )


ZOO: Mapping[str, ModelConfig] = MappingProxyType(
    {
        "llama": _llama(),
        "gpt2": _gpt2(),
        "gemma": _gemma(),
        "qwen3": _qwen3(),
        **LAYERED,
        "bert": _bert(_probabilities()),
        "bert_masked": _bert(_masked_lm_head()),
        "bert_classes": _bert(_classes()),
        "t5": _t5(),
        "gru": _recurrent("gru"),
        "lstm": _recurrent("lstm"),
        "document": _tutorial(),
    }
)


def build_model(s: Subject, name: str) -> Model:
    """Build a model on the backend, in the run's dtype throughout."""
    dtype: Any = s.dtype
    return Model(s.backend, ZOO[name], PrecisionPolicy(params=dtype, compute=dtype, output=dtype))


def values(s: Subject, name: str) -> dict[str, Any]:
    """Host parameters by dotted name, as the run's dtype holds them."""
    declared = flatten(build_model(s, name).declare())
    return s.round(parameters(f"zoo.{name}", declared))  # type: ignore[no-any-return]  # a tree of the same structure
