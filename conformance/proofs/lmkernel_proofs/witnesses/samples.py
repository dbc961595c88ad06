"""Witnesses of sampling: each token by itself, from its rank and the probability ahead of it."""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np

from lmkernel_conformance.oracle import sampling
from lmkernel_proofs.witnesses.point import Point
from lmkernel_proofs.witnesses.precise import MP

__all__ = ["POINTS"]

Host = Any


def _is_candidate(p: list[Any], i: int, top_k: int, top_p: Any, min_p: Any) -> bool:
    """Whether token i may be drawn, given the probabilities p of all tokens."""
    ahead = [j for j in range(len(p)) if (p[j], -j) > (p[i], -i)]
    ranked = sorted(range(len(p)), key=lambda j: (-p[j], j))
    whole = MP.fsum(p[j] for j in (ranked[:top_k] if top_k else ranked))
    listed = not top_k or len(ahead) < top_k
    return listed and MP.fsum(p[j] for j in ahead) < top_p * whole and p[i] >= min_p * max(p)


def _distribution(logits: Host, **c: Any) -> Host:
    """Probabilities p / Σ p over the candidates, where p = 1 / Σⱼ exp((xⱼ - xᵢ) / T)."""
    heat = MP.mpf(c.get("temperature", 1.0))
    p = [1 / MP.fsum(MP.exp((y - x) / heat) for y in logits) for x in logits]
    options = c.get("top_k", 0), MP.mpf(c.get("top_p", 1.0)), MP.mpf(c.get("min_p", 0.0))
    mask = [_is_candidate(p, i, *options) for i in range(len(p))]
    mass = MP.fsum(x for x, own in zip(p, mask, strict=True) if own)
    return np.array([x / mass if own else MP.mpf(0) for x, own in zip(p, mask, strict=True)])


def _pick(probabilities: Host, draw: float) -> Any:
    """Find the draw by bisection of the exact cumulative sums."""
    cumulative = list(accumulate(Fraction(float(x)) for x in probabilities))
    found = bisect_right(cumulative, Fraction(draw))
    last = max(i for i, x in enumerate(probabilities) if x > 0)
    return MP.mpf(min(found, last))


_LOGITS = {"x": np.array([0.5, 2.25, -1.0, 2.25, 1.5, -3.0, 0.75, 2.0])}
_EVEN = {"x": np.array([1.5, 1.5, 1.5, 1.5])}
_CUTS: tuple[dict[str, Any], ...] = (
    {},
    {"temperature": 0.5},
    {"top_k": 1},
    {"top_k": 3},
    {"top_p": 0.25},
    {"top_p": 0.75},
    {"min_p": 0.25},
    {"temperature": 1.5, "top_k": 6, "top_p": 0.875, "min_p": 0.125},
)
_DRAWS = (0.0, 0.1875, 0.25, 0.75, 0.8125, 0.9375, 0.9990234375)
_SHARES = {"x": np.array([0.1875, 0.0625, 0.0, 0.5, 0.125, 0.0625, 0.0])}


def _distribution_point(cut: dict[str, Any], inputs: Any = None, what: str = "") -> Point:
    name = what + (".".join(f"{key}_{value}" for key, value in cut.items()) or "plain")
    return Point(
        id=f"sampling.distribution.{name}",
        of=("sampling.distribution",),
        how="each token by its rank and the mass ahead of it; two are tied",
        inputs=_LOGITS if inputs is None else inputs,
        oracle=lambda _, t: [np.array(sampling.distribution(list(t["x"]), **cut))],
        witness=lambda t: [_distribution(t["x"], **cut)],
        gradient=False,
        moved=False,
    )


POINTS: tuple[Point, ...] = (
    *(_distribution_point(cut) for cut in _CUTS),
    *(_distribution_point(cut, _EVEN, "even.") for cut in ({"top_p": 0.5}, {"min_p": 1.0})),
    _distribution_point({"temperature": 2.0}, {"x": _LOGITS["x"] + 1000.0}, "large."),
    Point(
        id="sampling.pick",
        of=("sampling.pick",),
        how="a bisection of exact cumulative sums; draws on the edges, tokens of no probability",
        inputs=_SHARES,
        oracle=lambda _, t: [np.array([sampling.pick(list(t["x"]), draw) for draw in _DRAWS])],
        witness=lambda _: [np.array([_pick(_SHARES["x"], draw) for draw in _DRAWS])],
        gradient=False,
    ),
)
