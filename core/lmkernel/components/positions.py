"""Positions: the angles of RoPE, sinusoids, and the masks that follow from positions.

Constraint: padding is position -1 everywhere, so that every mask follows from positions alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lmkernel.contract.capabilities import WIDE

if TYPE_CHECKING:
    from lmkernel.config import RotaryConfig
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["rotation", "sinusoids", "visible"]


def rotary_frequencies(config: RotaryConfig) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The frequencies of RoPE: theta^(-2i/dim) for i < dim/2, scaled as configured."""
    plain = config.theta ** (-np.arange(0, config.dim, 2, dtype=np.float64) / config.dim)
    if config.scaling == "linear":
        return plain / config.factor
    if config.scaling == "llama3":
        # turns within the original context: high frequencies (short wavelengths) stay, low ones are
        # stretched, and those between are interpolated
        turns = config.original_context * plain / (2 * math.pi)
        low, high = config.low_freq_factor, config.high_freq_factor
        kept = np.clip((turns - low) / (high - low), 0, 1)
        return kept * plain + (1 - kept) * plain / config.factor
    return plain


def rotation(ops: Ops, positions: Array, config: RotaryConfig, dtype: DType) -> tuple[Array, Array]:
    """Cosines and sines of position · frequency, ``(batch, time) -> (batch, 1, time, dim / 2)``.

    Angles are computed in float32 or wider, whatever the dtype of the result: bfloat16 cannot tell
    positions above 256 apart.
    """
    wide = WIDE.get(dtype, dtype)
    batch, time = positions.shape
    steps = ops.reshape(ops.astype(positions, wide), (batch, 1, time, 1))
    angles = steps * ops.asarray(rotary_frequencies(config), wide)
    return ops.astype(ops.cos(angles), dtype), ops.astype(ops.sin(angles), dtype)


def sinusoids(ops: Ops, positions: Array, width: int, dtype: DType) -> Array:
    """Sin and cos of position / 10000^(2i/width), interleaved (arXiv:1706.03762, §3.5).

    ``(batch, time) -> (batch, time, width)``.
    """
    wide = WIDE.get(dtype, dtype)
    batch, time = positions.shape
    rates = 10000.0 ** (-np.arange(0, width, 2, dtype=np.float64) / width)
    steps = ops.reshape(ops.astype(positions, wide), (batch, time, 1, 1))
    angles = steps * ops.asarray(rates.reshape(-1, 1), wide)
    pairs = ops.concat([ops.sin(angles), ops.cos(angles)], -1)
    return ops.astype(ops.reshape(pairs, (batch, time, width)), dtype)


def visible(
    ops: Ops,
    query_positions: Array,
    key_positions: Array,
    *,
    causal: bool,
    window: int | None = None,
) -> Array:
    """Which query sees which slot: ``(batch, time), (batch, slots) -> (batch, 1, time, slots)``.

    A slot with position -1 is seen by nobody. A causal query sees positions up to its own, and
    with a window only the last ``window`` of those.
    """
    batch, time = query_positions.shape
    keys = ops.reshape(key_positions, (batch, 1, 1, key_positions.shape[1]))
    queries = ops.reshape(query_positions, (batch, 1, time, 1))
    real = keys >= ops.full((), 0, "int32")
    mask = real & (keys <= queries if causal else queries >= ops.full((), -1, "int32"))
    if window is not None:
        mask = mask & (queries - keys < ops.full((), window, "int32"))
        if not causal:
            mask = mask & (keys - queries < ops.full((), window, "int32"))
    return mask
