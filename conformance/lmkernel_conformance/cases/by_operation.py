"""The trials of single operations, by operation."""

from __future__ import annotations

from lmkernel_conformance.cases import (
    activations,
    adam_updates,
    attention_shapes,
    attentions,
    blocks,
    linears,
    losses,
    norms,
    recurrents,
)
from lmkernel_conformance.cases.trial import TrialCases

__all__ = ["trials_by_operation"]

_MODULES = (
    activations,
    norms,
    linears,
    blocks,
    attentions,
    attention_shapes,
    recurrents,
    losses,
    adam_updates,
)


def trials_by_operation() -> dict[str, list[TrialCases]]:
    """The trials of each operation; an operation without a trial is left out."""
    found: dict[str, list[TrialCases]] = {}
    for module in _MODULES:
        for value in vars(module).values():
            if isinstance(value, TrialCases) and value.op:
                found.setdefault(value.op, []).append(value)
    return found
