"""Witnesses of what attention adds to its scores by distance."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel.config import DisentangledConfig, RelativeConfig
from lmkernel_conformance.oracle import distances
from lmkernel_proofs.witnesses.point import Point, grid
from lmkernel_proofs.witnesses.precise import MP, full

__all__ = ["POINTS"]

Host = Any

_WHERE = np.array([[0, 1, 7], [-1, 3, 40]])
_RELATIVE = RelativeConfig(heads=1, buckets=12, distance=20)
_DISENTANGLED = DisentangledConfig(width=2, span=6, context=34)
_NEAR = DisentangledConfig(width=2, span=6)


def _slopes(heads: int) -> list[Any]:
    """Halvings from 8/n of one on; between two powers of two, every other one of twice as many."""
    count = 1
    while 2 * count <= heads:
        count *= 2
    plain = [MP.mpf(2) ** (-MP.mpf(8) / count * (i + 1)) for i in range(count)]
    return plain + (_slopes(2 * count)[::2][: heads - count] if count < heads else [])


def _linear(factor: Any, heads: int) -> Host:
    out = full((len(_WHERE), heads, 3, 3))
    for (b, h, i, j), _ in np.ndenumerate(out):
        out[b, h, i, j] = factor * _slopes(heads)[h] * int(_WHERE[b, j] - _WHERE[b, i])
    return out


def _bucket(ahead: int, c: RelativeConfig, *, causal: bool) -> int:
    """The bucket by the logarithm of the distance."""
    each = c.buckets if causal else c.buckets // 2
    first = each if ahead > 0 and not causal else 0
    far, exact = (max(-ahead, 0) if causal else abs(ahead)), each // 2
    if far < exact:
        return first + far
    share = MP.log(MP.mpf(far) / exact) / MP.log(MP.mpf(c.distance) / exact)
    return first + min(exact + int(MP.floor(share * (each - exact))), each - 1)


def _relative(table: Host, *, causal: bool) -> Host:
    out = full((len(_WHERE), table.shape[1], 3, 3))
    for (b, h, i, j), _ in np.ndenumerate(out):
        row = _bucket(int(_WHERE[b, j] - _WHERE[b, i]), _RELATIVE, causal=causal)
        out[b, h, i, j] = table[row, h]
    return out


def _row(behind: int, c: DisentangledConfig) -> int:
    """The row by the logarithm of the distance, rounded up."""
    middle, far = c.span // 2, abs(behind)
    if c.context and far > middle:
        share = MP.log(MP.mpf(far) / middle) / MP.log(MP.mpf(c.context - 1) / middle)
        behind = (1 if behind > 0 else -1) * (middle + int(MP.ceil(share * (middle - 1))))
    return min(max(behind + c.span, 0), 2 * c.span - 1)


def _scores(t: dict[str, Host], parts: str, c: DisentangledConfig) -> Host:
    out = full((2, 1, 3, 3))
    for (b, h, i, j), _ in np.ndenumerate(out):
        row = _row(int(_WHERE[b, i] - _WHERE[b, j]), c)
        content = {"k": t["x"][b, h, i], "q": t["y"][b, h, j]}
        out[b, h, i, j] = MP.fsum(MP.fdot(content[part], t[part][row, h]) for part in parts)
    return out


def _of(t: dict[str, Host], parts: str) -> dict[str, Host]:
    return {part: t[part] for part in parts}


_PARTS = (("kq", _DISENTANGLED), ("k", _NEAR), ("q", _NEAR))

POINTS: tuple[Point, ...] = (
    Point(
        id="distances.linear_biases",
        of=("distances.linear_biases",),
        how="slopes of three heads, one pair at a time",
        inputs={"factor": np.array([0.75])},
        oracle=lambda _, t: [distances.linear_biases(_WHERE, 3, float(t["factor"][0]))],
        witness=lambda t: [_linear(t["factor"][0], 3)],
        gradient=False,
    ),
    Point(
        id="distances.relative_biases",
        of=("distances.relative_biases",),
        how="the bucket of each pair by the logarithm of its distance",
        inputs={"table": grid("relative.table", 12, 1)},
        oracle=lambda ar, t: [
            distances.relative_biases(ar, _WHERE, t["table"], _RELATIVE, causal=causal)
            for causal in (False, True)
        ],
        witness=lambda t: [_relative(t["table"], causal=causal) for causal in (False, True)],
    ),
    Point(
        id="distances.distance_scores",
        of=("distances.distance_scores",),
        how="two dot products for each pair; its row by the logarithm of its distance",
        inputs={
            "x": grid("scores.x", 2, 1, 3, 2),
            "y": grid("scores.y", 2, 1, 3, 2),
            "k": grid("scores.k", 12, 1, 2),
            "q": grid("scores.q", 12, 1, 2),
        },
        oracle=lambda ar, t: [
            distances.distance_scores(ar, t["x"], t["y"], _of(t, parts), _WHERE, c)
            for parts, c in _PARTS
        ],
        witness=lambda t: [_scores(t, parts, c) for parts, c in _PARTS],
    ),
)
