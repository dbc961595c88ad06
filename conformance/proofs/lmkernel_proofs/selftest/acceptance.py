"""Requires that honest variants of the reference backend pass: a budget must not be too tight."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lmkernel_conformance.cases import CASES, LEVELS, items
from lmkernel_conformance.runner import attempt
from lmkernel_proofs.selftest.forks import run_in_children
from lmkernel_proofs.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lmkernel_conformance.subject import Subject
    from lmkernel_proofs.variants import Variant

__all__ = ["refusals", "require_variants"]

_LIMIT = 900.0
"""Seconds for all cases of one variant."""


def require_variants(subject: Subject, jobs: int, notify: Callable[[str], None]) -> None:
    """Run every case on every honest variant.

    Args:
        subject: the reference backend, with its budgets.
        jobs: number of processes at a time.
        notify: function that is called with a line of progress.

    Raises:
        AssertionError: a case refuses a variant.
    """
    for done in run_in_children(
        VARIANTS, lambda variant: refusals(subject, variant, LEVELS), jobs=jobs, limit=_LIMIT
    ):
        wrong = [done.trouble] if done.result is None else done.result
        if wrong:
            raise AssertionError(f"the honest variant {done.task.id} is refused: {wrong[0]}")
        notify(f"honest variant: {done.task.id}")


def refusals(subject: Subject, variant: Variant, levels: Iterable[str]) -> list[str]:
    """The cases of some levels that a variant fails, with the errors."""
    own = replace(subject, backend=variant.make(subject.backend))
    declared = own.backend.capabilities.dtypes
    chosen = items(CASES.values(), profile="full", levels=levels, declared=declared)
    errors = ((item, attempt(own, item).error) for item in chosen)
    return [f"{item.case.level}/{item.id}: {error}" for item, error in errors if error is not None]
