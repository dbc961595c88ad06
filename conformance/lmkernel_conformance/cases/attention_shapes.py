"""Attention over masks and biases that broadcast, and over more queries than any block holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal, uniform
from lmkernel_conformance.oracle import attention as oracle

if TYPE_CHECKING:
    from collections.abc import Mapping

Host = Any

_BATCH, _HEADS, _KV, _TIME, _SLOTS, _WIDTH, _VALUE = 2, 4, 2, 71, 77, 3, 5
_SCALE = 0.37


def _parts(time: int = _TIME) -> dict[str, Host]:
    return {
        "q": normal(f"attention.shapes.q{time}", _BATCH, _HEADS, time, _WIDTH),
        "k": normal("attention.shapes.k", _BATCH, _KV, _SLOTS, _WIDTH),
        "v": normal("attention.shapes.v", _BATCH, _KV, _SLOTS, _VALUE),
    }


def _trial(inputs: Mapping[str, Host], mask: Host) -> Trial:
    return Trial(
        inputs=inputs,
        fixed={"mask": mask},
        native=lambda s, t: s.ops.attention(
            t["q"], t["k"], t["v"], t["mask"], bias=t.get("bias"), scale=_SCALE
        ),
        formula=lambda ar, t: oracle.attention(
            ar, t["q"], t["k"], t["v"], mask, bias=t.get("bias"), scale=_SCALE
        ),
    )


@trial(id="attention.many_queries", op="attention", rows=(1,))
def many_queries() -> Trial:
    """71 queries, the first at position 6 of 77: the last of them sees every slot."""
    where = np.array([range(6, 77), range(6, 77)])
    return _trial(_parts(), oracle.visible(where, np.array([range(_SLOTS)] * 2), causal=True))


@trial(id="attention.one_mask_for_many_queries", op="attention", rows=(2,))
def one_mask() -> Trial:
    """One row of a mask and one of a bias, which apply to all of 71 queries."""
    mask = uniform("attention.shapes.mask", _BATCH, 1, 1, _SLOTS, low=0, high=1) > 0.3  # noqa: PLR2004 - most
    bias = normal("attention.shapes.bias", 1, _HEADS, 1, _SLOTS, scale=2)
    return _trial({**_parts(), "bias": bias}, mask)


@trial(id="attention.mask_by_query", op="attention", rows=(2,))
def mask_by_query() -> Trial:
    """A mask of one column, by which each of as many queries as slots sees all slots or none."""
    shown = uniform("attention.shapes.queries", _BATCH, 1, _SLOTS, 1, low=0, high=1) > 0.3  # noqa: PLR2004 - most
    return _trial(_parts(_SLOTS), shown)
