"""Clipping by the global norm, in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmkernel.training.step import clipping
from lmkernel_conformance.cases.case import case

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject


def _clipped(s: Subject, grads: dict[str, list[float]], limit: float) -> dict[str, list[float]]:
    arrays = {name: s.array(np.asarray(g)) for name, g in grads.items()}
    factor = clipping.clip_factor(s.ops, clipping.global_norm(s.ops, arrays), limit)
    return {name: s.host(g * factor).tolist() for name, g in arrays.items()}


_GRADS = {"a": [2.0, 4.0], "b": [5.0, -6.0]}
"""Their norm is 9; the norm of neither is."""


@case(level="training", id="clipping.above", training=True)
def above(s: Subject) -> None:
    """All are brought down by one factor, that of their common norm."""
    got = _clipped(s, _GRADS, 2.25)
    s.demand("a quarter", expected={"a": [0.5, 1.0], "b": [1.25, -1.5]}, got=got)


@case(level="training", id="clipping.below", training=True)
def below(s: Subject) -> None:
    """A norm below the limit, or at it, changes nothing."""
    for limit in (9.0, 9.5, 1e6):
        s.demand(f"limit {limit}", expected=_GRADS, got=_clipped(s, _GRADS, limit))


@case(level="training", id="clipping.zero", training=True)
def zero(s: Subject) -> None:
    """No gradient at all: no division by its norm."""
    none = {"a": [0.0, 0.0], "b": [0.0]}
    s.demand("zeros", expected=none, got=_clipped(s, none, 1.0))


@case(level="training", id="clipping.infinite", training=True)
def infinite(s: Subject) -> None:
    """Where the norm is infinite nothing is left, and nothing is NaN."""
    norm = s.array(np.asarray(np.inf))
    s.equal("factor", clipping.clip_factor(s.ops, norm, 1.0), 0.0)
