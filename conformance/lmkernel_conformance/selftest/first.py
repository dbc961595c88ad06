"""Judges a handwritten mutant at its own level alone, in this process, until something kills it.

Constraint: only a discrepancy kills; a mutant that crashes ends it.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

from lmkernel_conformance.cases import CASES, items
from lmkernel_conformance.runner import run_items

if TYPE_CHECKING:
    from lmkernel.backend import Backend
    from lmkernel_conformance.cases import Item
    from lmkernel_conformance.mutants import Mutant
    from lmkernel_conformance.subject import Subject

__all__ = ["Trial", "judge", "passes"]


@final
@dataclass(frozen=True)
class Trial:
    """What became of a mutant.

    Args:
        mutant: the defect.
        by: the item that found it, or None: it survived.
        message: what that item said.
    """

    mutant: Mutant
    by: Item | None
    message: str = ""


def judge(mutant: Mutant, known: Subject) -> Trial:
    """Run the cases of the mutant's level, those made for it first, until one kills it.

    Args:
        mutant: the defect.
        known: a subject on the correct backend, whose budgets are used where there are some.
    """
    broken = mutant.make(mutant.base(known.backend))
    # a defect may reach what expected values are made of: its budgets are nobody else's
    shared = replace(known, known=dict(known.known) if mutant.patch is nullcontext else {})
    with mutant.patch():
        for outcome in run_items(broken, _ordered(mutant, broken), shared):
            if outcome.discrepancy is not None:
                return Trial(mutant, outcome.item, str(outcome.discrepancy))
    return Trial(mutant, None)


def _ordered(mutant: Mutant, backend: Backend) -> list[Item]:
    chosen = items(
        CASES.values(),
        profile="full",
        levels=(mutant.level,),
        declared=backend.capabilities.dtypes,
    )
    return sorted(
        chosen,
        key=lambda item: (item.case.name not in mutant.by, mutant.row not in item.case.rows),
    )


def passes(mutant: Mutant, known: Subject) -> bool:
    """Whether the correct backend that a mutant is made of passes the mutant's level."""
    right = mutant.base(known.backend)
    found = run_items(right, _ordered(mutant, right), replace(known, backend=right))
    return all(outcome.discrepancy is None for outcome in found)
