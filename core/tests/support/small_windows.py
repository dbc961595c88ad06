"""A small decoder whose layers have windows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import (
    AttentionConfig,
    DeltaConfig,
    EmbeddingConfig,
    HeadConfig,
    LayerConfig,
    MlpConfig,
    ModelConfig,
    PrecisionPolicy,
    RotaryConfig,
    TransformerConfig,
)
from lmkernel.parameters import flatten

if TYPE_CHECKING:
    from lmkernel.model import Model

__all__ = ["DELTA", "WIDE", "values_of", "windowed", "with_delta"]

WIDE = PrecisionPolicy(params="float64", compute="float64", output="float64")
_ATTENTION = AttentionConfig(width=12, heads=4, kv_heads=2, head_dim=6)


DELTA = AttentionConfig(
    kind="delta",
    width=12,
    heads=6,
    head_dim=5,
    delta=DeltaConfig(key_heads=3, key_dim=4, taps=3),
)


def with_delta(config: ModelConfig, own: AttentionConfig = DELTA) -> ModelConfig:
    """The same with the delta rule in two layers, and attention between them."""
    stack = config.decoder
    assert isinstance(stack, TransformerConfig)
    different = (LayerConfig(attention=own), LayerConfig(), LayerConfig(attention=own))
    return replace(config, decoder=replace(stack, layers=3, different=different))


def windowed(*windows: int | None) -> ModelConfig:
    """A decoder with a layer for each window."""
    own = tuple(LayerConfig(attention=replace(_ATTENTION, window=window)) for window in windows)
    return ModelConfig(
        embedding=EmbeddingConfig(
            width=12, vocab=29, positions="rotary", rotary=RotaryConfig(dim=6)
        ),
        decoder=TransformerConfig(
            width=12,
            layers=len(own),
            attention=_ATTENTION,
            mlp=MlpConfig(hidden=10),
            different=own,
            causal=True,
        ),
        head=HeadConfig(width=12, size=29),
    )


def values_of(model: Model) -> dict[str, Any]:
    """Random values of all parameters, wide enough that every one shows."""
    generator = np.random.default_rng(11)
    declared = flatten(model.declare())
    return {name: generator.normal(0.3, 0.6, p.shape) for name, p in sorted(declared.items())}
