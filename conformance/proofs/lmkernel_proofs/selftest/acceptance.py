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


def require_variants(
    subject: Subject,
    jobs: int,
    *,
    every: int = 1,
    full: bool = False,
    notify: Callable[[str], None],
) -> None:
    """Run the cases on every honest variant.

    Args:
        subject: the reference backend, with its budgets.
        jobs: number of processes at a time.
        every: how far apart the cases are that one variant runs: 1 for all of them.
        full: whether each variant runs all rows of designs, rather than its share of them.
        notify: function that is called with a line of progress.

    Raises:
        AssertionError: a case refuses a variant.
    """
    rows = every if full else max(every, len(VARIANTS))

    def judge(variant: Variant) -> list[str]:
        return refusals(subject, variant, LEVELS, every=every, rows=rows)

    for done in run_in_children(VARIANTS, judge, jobs=jobs, limit=_LIMIT):
        wrong = [done.trouble] if done.result is None else done.result
        if wrong:
            raise AssertionError(f"the honest variant {done.task.id} is refused: {wrong[0]}")
        notify(f"honest variant: {done.task.id}")


def refusals(
    subject: Subject, variant: Variant, levels: Iterable[str], *, every: int = 1, rows: int = 1
) -> list[str]:
    """The cases of some levels that a variant fails, with the errors.

    Where not all are run, each variant begins at a place of its own, so that together they run
    them all.

    Args:
        subject: the reference backend, with its budgets.
        variant: the variant.
        levels: names of the levels.
        every: how far apart the cases are that it runs.
        rows: how far apart the rows of designs are that it runs.
    """
    own = replace(subject, backend=variant.make(subject.backend))
    declared = own.backend.capabilities.dtypes
    found = items(CASES.values(), profile="full", levels=levels, declared=declared)
    place = [known.id for known in VARIANTS].index(variant.id)
    listed = [item for item in found if not item.case.design][place % every :: every]
    designed = [item for item in found if item.case.design][place % rows :: rows]
    errors = ((item, attempt(own, item).error) for item in [*listed, *designed])
    return [f"{item.case.level}/{item.id}: {error}" for item, error in errors if error is not None]
