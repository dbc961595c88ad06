"""What attention adds to its scores by the distance of two positions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.tape import raw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["distance_scores", "linear_biases", "relative_biases"]

Host = Any


def linear_biases(positions: Host, heads: int, factor: float) -> Host:
    """ALiBi (arXiv:2108.12409, §3): minus the distance times a slope for each head."""
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (h + 1) / power) for h in range(power)]
    # what is missing to a power of two comes from the sequence of twice as many, every other one
    slopes += [2 ** (-8 * (2 * h + 1) / (2 * power)) for h in range(heads - power)]
    back = positions[:, None, None, :] - positions[:, None, :, None]
    return factor * np.array(slopes)[None, :, None, None] * back


def relative_biases(
    ar: Arithmetic, positions: Host, table: Host, config: Any, *, causal: bool
) -> Host:
    """T5's biases (arXiv:1910.10683, §2.1), ``(batch, heads, time, slots)``.

    Args:
        ar: the arithmetic.
        positions: positions, ``(batch, time)``.
        table: a bias for each bucket and head, ``(buckets, heads)``.
        config: how many buckets there are, and the distance from which on they are one.
        causal: whether nobody sees what follows, so that all buckets are of what comes before.
    """
    ahead = positions[:, None, :] - positions[:, :, None]
    each = config.buckets if causal else config.buckets // 2
    far = np.where(ahead < 0, -ahead, 0 if causal else ahead)
    wide = [_bucket(int(d), each, config.distance) for d in far.ravel()]
    which = np.reshape(wide, far.shape) + (0 if causal else each * (ahead > 0))
    return ar.transpose(ar.take(table, which), (0, 3, 1, 2))


def _bucket(distance: int, buckets: int, last: int) -> int:
    """Half of the buckets hold one distance each; the others widen by a constant factor."""
    exact = buckets // 2
    if distance < exact:
        return distance
    begins = [exact * (last / exact) ** (k / (buckets - exact)) for k in range(buckets - exact)]
    return exact - 1 + len([begin for begin in begins if distance >= begin])


def distance_scores(
    ar: Arithmetic, queries: Host, keys: Host, of: Mapping[str, Host], positions: Host, config: Any
) -> Host:
    """Products of contents with distances (arXiv:2006.03654, eq. 4), without the scale.

    Args:
        ar: the arithmetic.
        queries: ``(batch, heads, time, width)``.
        keys: the same.
        of: ``"k"``, keys of distances, which queries score, and ``"q"``, queries of distances,
            which keys score; ``(rows, heads, width)`` each, and one of them may lack.
        positions: positions, ``(batch, time)``.
        config: how many rows there are a way, and up to where they are one distance each.

    Returns:
        ``(batch, heads, time, slots)``.
    """
    behind = positions[:, :, None] - positions[:, None, :]
    rows = [_row(int(d), config.span, config.context) for d in behind.ravel()]
    batch, heads, time, width = raw(queries).shape
    found = []
    # each pair's vector first, then its product: what a backend does the other way round
    for part, x, shape in (
        ("k", queries, (batch, heads, time, 1, width)),
        ("q", keys, (batch, heads, 1, time, width)),
    ):
        if part in of:
            vectors = ar.take(of[part], np.reshape(rows, behind.shape))
            pairs = ar.transpose(vectors, (0, 3, 1, 2, 4)) * ar.reshape(x, shape)
            found.append(ar.sum(pairs, -1))
    return sum(found[1:], found[0])


def _row(behind: int, span: int, context: int) -> int:
    """The row of a distance; beyond half of the span rows widen, where there is a context."""
    middle, far = span // 2, abs(behind)
    if context and far > middle:
        steps = middle - 1
        ends = [middle * ((context - 1) / middle) ** (k / steps) for k in range(steps + span)]
        far = middle + next(k for k, end in enumerate(ends) if far <= end)
    return min(max(span + (far if behind > 0 else -far), 0), 2 * span - 1)
