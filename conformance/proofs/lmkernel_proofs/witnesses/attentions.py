"""Witnesses of attention: head by head, query by query, key by key."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel_conformance.oracle.attention import attention as oracle
from lmkernel_conformance.oracle.attention import visible
from lmkernel_proofs.witnesses.point import Point, grid
from lmkernel_proofs.witnesses.precise import MP, full

__all__ = ["MASK", "POINTS", "attention", "visible_pairs"]

Host = Any


def visible_pairs(queries: Host, keys: Host, *, causal: bool, window: int | None = None) -> Host:
    """The mask of every pair, from the distance between query and key."""
    distance = queries[:, None, :, None].astype(int) - keys[:, None, None, :].astype(int)
    shown = np.broadcast_to(keys[:, None, None, :] >= 0, distance.shape)
    shown = shown & (distance >= 0) if causal else shown
    return shown if window is None else shown & (distance > -window) & (distance < window)


def attention(
    q: Host,
    k: Host,
    v: Host,
    mask: Host,
    *,
    scale: float,
    bias: Host = None,
    softcap: float | None = None,
) -> Host:
    """Attention as a sum over visible keys alone, with weights 1 / Σⱼ exp(sⱼ - sᵢ)."""
    batch, heads, queries, _ = q.shape
    kv, slots, width = k.shape[1], k.shape[2], v.shape[3]
    shape = (batch, heads, queries, slots)
    shown = np.ones(shape, bool) if mask is None else np.broadcast_to(mask, shape)
    bias = None if bias is None else np.broadcast_to(bias, shape)
    out = full((batch, heads, queries, width))
    for b, h, i in np.ndindex(batch, heads, queries):
        own, where = h * kv // heads, np.flatnonzero(shown[b, h, i])
        scores = [_cap(MP.fdot(q[b, h, i], k[b, own, j]) * MP.mpf(scale), softcap)
                  for j in where]  # fmt: skip
        if bias is not None:
            scores = [s + bias[b, h, i, j] for s, j in zip(scores, where, strict=True)]
        for s, j in zip(scores, where, strict=True):
            weight = 1 / MP.fsum(MP.exp(other - s) for other in scores)
            out[b, h, i] = out[b, h, i] + weight * v[b, own, j]
    return out


def _cap(score: Any, softcap: float | None) -> Any:
    if softcap is None:
        return score
    cap = MP.mpf(softcap)
    return cap * (1 - 2 / (MP.exp(2 * score / cap) + 1))


MASK = np.tril(np.ones((1, 1, 3, 5), bool), 2)
MASK[..., 1, :] = False
_PER_HEAD = np.broadcast_to(MASK, (1, 4, 3, 5)).copy()
_PER_HEAD[0, 2, 1, 3] = True
_QKV = {
    "q": grid("attention.q", 1, 4, 3, 3),
    "k": grid("attention.k", 1, 2, 5, 3),
    "v": grid("attention.v", 1, 2, 5, 2),
}
_WHERE = {
    "q": np.array([[0.0, 3.0, 6.0], [-1.0, 0.0, 2.0]]),
    "k": np.array([[0.0, 2.0, 3.0, 5.0], [-1.0, 0.0, 4.0, 1.0]]),
}


def _point(
    name: str,
    mask: Host,
    inputs: dict[str, Host],
    *,
    gradient: bool = True,
    **options: Any,
) -> Point:
    return Point(
        id=f"attention.{name}",
        of=("attention.attention",),
        how="a sum over visible keys alone, one by one, head by head",
        inputs=inputs,
        oracle=lambda ar, t: [
            oracle(ar, t["q"], t["k"], t["v"], mask, bias=t.get("bias"), **options)
        ],
        witness=lambda t: [attention(t["q"], t["k"], t["v"], mask, bias=t.get("bias"), **options)],
        gradient=gradient,
    )


def _masks(where: Any, f: Any) -> list[Host]:
    return [
        f(where["q"], where["k"], causal=causal, window=window)
        for causal in (False, True)
        for window in (None, 2)
    ]


POINTS: tuple[Point, ...] = (
    Point(
        id="attention.visible",
        of=("attention.visible",),
        how="by distances, of all pairs at once",
        inputs=_WHERE,
        oracle=lambda _, t: _masks(t, visible),
        witness=lambda _: _masks(_WHERE, visible_pairs),
        gradient=False,
    ),
    _point("grouped", MASK, _QKV, scale=0.375),  # four heads on two, a row that sees nothing
    _point("open", None, _QKV, scale=1.0),
    _point(
        "bounded",
        _PER_HEAD,
        {**_QKV, "bias": grid("attention.bias", 1, 4, 3, 5)},
        scale=0.5,
        softcap=1.5,
    ),
    _point(
        "large",  # scores in the thousands: their slopes are rounding alone
        MASK,
        {**_QKV, "q": _QKV["q"] * 512},
        gradient=False,
        scale=2.0,
    ),
)
