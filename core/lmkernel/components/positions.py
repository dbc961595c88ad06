"""Positions: sinusoids, linear biases, and the masks that follow from positions.

Constraint: padding is position -1 everywhere, so that every mask follows from positions alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.contract.capabilities import WIDE

if TYPE_CHECKING:
    from lmkernel.config import RelativeConfig
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = [
    "count_positions",
    "count_uncounted",
    "linear_biases",
    "relative_biases",
    "sinusoids",
    "visible",
]


def count_positions(ops: Ops, inputs: Array) -> Array:
    """Positions 0, 1, 2, … of inputs ``(batch, time, …)``."""
    batch, time = inputs.shape[:2]
    return ops.broadcast_to(ops.reshape(ops.arange(0, time, "int32"), (1, time)), (batch, time))


def count_uncounted(ops: Ops, tokens: Array, positions: Array, token: int) -> tuple[Array, Array]:
    """Where a token that takes no position stands, and how often it has up to each place.

    Args:
        ops: the backend's operations.
        tokens: int32 ``(batch, time)``, in the order of their positions.
        positions: int32 ``(batch, time)``; -1 is padding, which is not the token, whatever its id.
        token: the id.

    Returns:
        Booleans and int32, each ``(batch, time)``.
    """
    real = positions >= ops.full((), 0, "int32")
    there = (tokens == ops.full((), token, "int32")) & real
    column = ops.arange(0, tokens.shape[1], "int32")
    upper = ops.reshape(column, (-1, 1)) <= ops.reshape(column, (1, -1))
    # a sum along the row: float32 counts exactly, and multiplies on every backend
    count = ops.matmul(ops.astype(there, "float32"), ops.astype(upper, "float32"))
    return there, ops.astype(count, "int32")


def sinusoids(ops: Ops, positions: Array, width: int, dtype: DType, layout: str = "pairs") -> Array:
    """Sin and cos of position / 10000^(2i/width) (arXiv:1706.03762, §3.5).

    Args:
        ops: the backend's operations.
        positions: ``(batch, time)``.
        width: size of a vector.
        dtype: of the vectors.
        layout: one of ``EmbeddingConfig.sinusoids``.

    Returns:
        ``(batch, time, width)``.
    """
    wide = WIDE.get(dtype, dtype)
    batch, time = positions.shape
    last = width // 2 - 1 if layout == "halves_to_last" else width // 2
    rates = 10000.0 ** (-np.arange(width // 2, dtype=np.float64) / last)
    steps = ops.reshape(ops.astype(positions, wide), (batch, time, 1, 1))
    # sines and cosines of one angle lie in the last axis, or in the last but one
    column = rates[:, None] if layout == "pairs" else rates[None]
    angles = steps * ops.asarray(column, wide)
    both = ops.concat([ops.sin(angles), ops.cos(angles)], -1 if layout == "pairs" else -2)
    return ops.astype(ops.reshape(both, (batch, time, width)), dtype)


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


def linear_biases(
    ops: Ops, query_positions: Array, key_positions: Array, heads: int, factor: float, dtype: DType
) -> Array:
    """ALiBi (arXiv:2108.12409, §3): slope · (key - query), ``(batch, heads, time, slots)``.

    The slopes of 2ᵏ heads are 2^(-8/2ᵏ), its square, and so on; further heads take every other one
    of those for twice as many.
    """
    power = 1 << (heads.bit_length() - 1)
    exponents = [8 * (i + 1) / power for i in range(power)]
    exponents += [4 * (2 * i + 1) / power for i in range(heads - power)]
    slopes = factor * 2.0 ** -np.array(exponents)
    batch, time = query_positions.shape
    keys = ops.reshape(key_positions, (batch, 1, 1, key_positions.shape[1]))
    distances = keys - ops.reshape(query_positions, (batch, 1, time, 1))
    return ops.astype(distances, dtype) * ops.asarray(slopes.reshape(1, heads, 1, 1), dtype)


def relative_biases(
    ops: Ops,
    query_positions: Array,
    key_positions: Array,
    table: Array,
    config: RelativeConfig,
    *,
    causal: bool,
) -> Array:
    """Learned biases by distance (arXiv:1910.10683, §2.1), ``(batch, heads, time, slots)``.

    The table is ``(buckets, heads)``.
    """
    batch, time = query_positions.shape
    keys = ops.reshape(key_positions, (batch, 1, key_positions.shape[1]))
    ahead = keys - ops.reshape(query_positions, (batch, time, 1))
    # every distance from the last on is as the last
    last, first = (ops.full((), end, "int32") for end in (config.distance, -config.distance))
    shifted = ops.minimum(ops.maximum(ahead, first), last) + last
    buckets = ops.asarray(_buckets(config.buckets, config.distance, causal), "int32")
    which = ops.take(buckets, shifted, 0)
    return ops.permute_dims(ops.take(table, which, 0), (0, 3, 1, 2))


def _buckets(buckets: int, distance: int, causal: bool) -> np.ndarray[Any, np.dtype[np.int32]]:
    """The bucket of each key from ``distance`` positions before the query to as many after it."""
    ahead = np.arange(-distance, distance + 1)
    each = buckets if causal else buckets // 2
    far = np.maximum(-ahead, 0) if causal else np.abs(ahead)
    exact = each // 2
    # single precision decides, as in the models' own code, where a distance is at a boundary
    growth = np.log(np.maximum(far, 1).astype(np.float32) / np.float32(exact))
    steps = growth / np.float32(math.log(distance / exact)) * np.float32(each - exact)
    wide = np.minimum(exact + steps.astype(np.int32), each - 1)
    found = np.where(far < exact, far, wide) + (0 if causal else each * (ahead > 0))
    return found.astype(np.int32)
