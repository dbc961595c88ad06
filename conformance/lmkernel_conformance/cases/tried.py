"""The trials of single operations, by the operation that each exercises."""

from __future__ import annotations

from lmkernel_conformance.cases import (
    activations,
    adam_updates,
    attention_shapes,
    attentions,
    linears,
    losses,
    norms,
    recurrents,
)
from lmkernel_conformance.cases.trial import Tried

__all__ = ["trials"]

_MODULES = (
    activations,
    norms,
    linears,
    attentions,
    attention_shapes,
    recurrents,
    losses,
    adam_updates,
)


def trials() -> dict[str, list[Tried]]:
    """By operation; an operation without a trial is not there."""
    found: dict[str, list[Tried]] = {}
    for module in _MODULES:
        for value in vars(module).values():
            if isinstance(value, Tried) and value.op:
                found.setdefault(value.op, []).append(value)
    return found
