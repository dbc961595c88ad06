"""Clipping by the global norm, in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmkernel.training.step import gradients
from lmkernel_conformance.cases.case import case

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject


def _clip(s: Subject, grads: dict[str, list[float]], limit: float) -> dict[str, list[float]]:
    arrays = {name: s.array(np.asarray(g)) for name, g in grads.items()}
    factor = gradients.clip_factor(s.ops, s.ops.global_norm(list(arrays.values())), limit)
    return {name: s.host(g * factor).tolist() for name, g in arrays.items()}


_GRADS = {"a": [2.0, 4.0], "b": [5.0, -6.0]}
"""Together their norm is 9; neither of them has that norm alone."""


@case(level="training", id="clipping.above", training=True)
def above(s: Subject) -> None:
    """All gradients are scaled by one factor, from their global norm."""
    got = _clip(s, _GRADS, 2.25)
    s.demand("a quarter", expected={"a": [0.5, 1.0], "b": [1.25, -1.5]}, got=got)


@case(level="training", id="clipping.below", training=True)
def below(s: Subject) -> None:
    """A norm below the limit, or at it, changes nothing."""
    for limit in (9.0, 9.5, 1e6):
        s.demand(f"limit {limit}", expected=_GRADS, got=_clip(s, _GRADS, limit))


@case(level="training", id="clipping.zero", training=True)
def zero(s: Subject) -> None:
    """Gradients of zero stay zero: their norm is not divided by."""
    none = {"a": [0.0, 0.0], "b": [0.0]}
    s.demand("zeros", expected=none, got=_clip(s, none, 1.0))


@case(level="training", id="clipping.infinite", training=True)
def infinite(s: Subject) -> None:
    """An infinite norm gives the factor 0, not NaN."""
    norm = s.array(np.asarray(np.inf))
    s.equal("factor", gradients.clip_factor(s.ops, norm, 1.0), 0.0)
