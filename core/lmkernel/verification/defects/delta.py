"""Defects of layers of the delta rule: what decays, what is read, and the convolution before it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import AttentionConfig
from lmkernel.verification.defects.common import Candidate, rewritten, zeroed
from lmkernel.verification.one_run import Variant
from lmkernel.verification.structure import change_every, top_transformer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig, TransformerConfig

__all__ = ["delta_defects", "has_delta"]

_NEVER = -1e4
"""A rate whose exponential is nothing."""
_TAPS = "attention.taps"


def delta_defects(config: ModelConfig) -> Iterator[Candidate]:
    """Those of a model that has such layers, put into every one of them."""
    _, stack = top_transformer(config)
    if not has_delta(stack):
        return
    still = rewritten(lambda x: np.full_like(x, _NEVER), "attention.decay_rate")
    yield Candidate("delta.decay", "nothing of the past decayed", Variant(change=still))
    words = "the biases of decays were left out"
    yield Candidate("delta.decay", words, Variant(change=zeroed("attention.decay_bias")))
    words = "the convolution's taps stood in reversed order"
    turned = Variant(change=rewritten(lambda x: np.flip(x, 1), _TAPS))
    yield Candidate("delta.taps", words, turned)
    words = "the convolution were left out"
    yield Candidate("delta.taps", words, Variant(change=rewritten(_newest_alone, _TAPS)))
    unscaled = change_every(config, AttentionConfig, _unscaled)
    words = "queries of the delta rule had no scale"
    yield Candidate("delta.scale", words, Variant(config=unscaled))


def has_delta(stack: TransformerConfig) -> bool:
    """Whether any of its layers keeps the past as a matrix."""
    return any(stack.layer(i).attention.delta is not None for i in range(stack.layers))


def _newest_alone(taps: NDArray[Any]) -> NDArray[Any]:
    """What a convolution is that gives its newest input."""
    made = np.zeros_like(taps)
    made[:, -1] = 1
    return made


def _unscaled(own: AttentionConfig) -> AttentionConfig:
    return own if own.delta is None else replace(own, scale=1.0)
