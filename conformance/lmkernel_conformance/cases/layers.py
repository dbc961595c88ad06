"""Layers that scale, share, leave out or choose what usual ones do not."""

from __future__ import annotations

from typing import Any

from lmkernel.config import (
    AttentionConfig,
    ExpertsConfig,
    LayerConfig,
    MlpConfig,
    NormConfig,
    TransformerConfig,
)
from lmkernel_conformance.cases.stack_trial import stack_cases

_WIDTH = 8


def _stack(layers: int = 2, **more: Any) -> TransformerConfig:
    given = {"mlp": MlpConfig(hidden=6), "norm": NormConfig(kind="rms", eps=1e-5), **more}
    attention = AttentionConfig(width=_WIDTH, heads=2)
    return TransformerConfig(width=_WIDTH, layers=layers, attention=attention, **given)


LAYER_SCALE = stack_cases(
    "layer_scale",
    "A learned factor of each channel of each block's output; SiLU with a slope of its own.",
    _stack(layer_scale=0.1, mlp=MlpConfig(hidden=6, gated=False, slope=1.7)),
)
SHARED = stack_cases(
    "shared_weights", "Four layers with two sets of weights.", _stack(layers=4, sets=2)
)
FIRST_NORM = stack_cases(
    "first_norm",
    "The first layer's attention reads its input as it is, the second's reads it normalised.",
    _stack(first_norm=False),
)
NETWORKS = stack_cases(
    "networks",
    "A bounded gate of GELU, and experts without gates, with biases and a slope.",
    _stack(
        mlp=MlpConfig(hidden=6, activation="gelu_tanh", limit=0.6, shift=0.5),
        different=(
            LayerConfig(),
            LayerConfig(
                mlp=MlpConfig(
                    hidden=6,
                    gated=False,
                    bias=True,
                    slope=1.3,
                    experts=ExpertsConfig(count=3, chosen=2, hidden=5),
                )
            ),
        ),
    ),
)
