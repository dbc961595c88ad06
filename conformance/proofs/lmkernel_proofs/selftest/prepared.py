"""What the self-test knows before it breaks anything: budgets, lines, and how long each case takes.

Constraint: measured on correct backends, which pass everything; one that does not ends it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from lmkernel.backend import load_backend
from lmkernel_conformance.runner import attempt
from lmkernel_conformance.subject import Subject
from lmkernel_proofs.mechanical.sources import SOURCES
from lmkernel_proofs.selftest.bases import BASES, Run, runs
from lmkernel_proofs.selftest.coverage import Lines, reached
from lmkernel_proofs.selftest.forks import forked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lmkernel_conformance.budget import Budget

__all__ = ["Measurement", "Prepared", "prepare", "subjects"]

Budgets = dict[tuple[str, str, str], "list[Budget]"]
_LIMIT = 600.0


@final
@dataclass(frozen=True)
class Measurement:
    """Of one run on a correct backend.

    Args:
        lines: of the mutated sources that it runs.
        seconds: of the processor, with its budgets known and its lines followed.
    """

    lines: Lines
    seconds: float


@final
@dataclass(frozen=True)
class Prepared:
    """Measured once, used by every mutant.

    Args:
        subjects: a correct backend of each base; all share the budgets.
        measured: of every run, lowest level first, and within one the quick ones first.
    """

    subjects: Mapping[str, Subject]
    measured: Mapping[Run, Measurement]
    seconds: float = field(default=0.0, compare=False)

    @property
    def known(self) -> Budgets:
        """The budgets of all cases."""
        return next(iter(self.subjects.values())).known

    def reaching(self, file: str, lines: Iterable[int]) -> list[Run]:
        """Runs that run any of the lines."""
        wanted = frozenset((file, line) for line in lines)
        return [run for run, found in self.measured.items() if wanted & found.lines]


def subjects() -> dict[str, Subject]:
    """A correct backend of each base, with one table of budgets."""
    backend = load_backend("numpy")
    known: Budgets = {}
    return {name: Subject(backend=base.make(backend), known=known) for name, base in BASES.items()}


def prepare(
    jobs: int, told: Callable[[str], None], chosen: Iterable[Run] | None = None
) -> Prepared:
    """Run everything on correct backends.

    Args:
        jobs: processes at a time.
        told: is told of progress, a line each.
        chosen: some of `runs`, instead of all.

    Raises:
        AssertionError: a correct backend does not pass.
    """
    wanted = list(runs() if chosen is None else chosen)
    by_case: dict[str, list[Run]] = {}
    for run in wanted:
        by_case.setdefault(run.case, []).append(run)
    own = subjects()
    for source in SOURCES:
        source.loaded()
    found: dict[Run, Measurement] = {}
    seconds, known = 0.0, next(iter(own.values())).known
    for done in forked(by_case.values(), lambda part: _measure(own, part), jobs=jobs, limit=_LIMIT):
        if done.result is None:
            raise AssertionError(f"{done.task[0].case} on a correct backend: {done.trouble}")
        measurements, budgets = done.result
        known.update(budgets)
        found.update(measurements)
        seconds += done.seconds
        told(f"measured {len(found)} of {len(wanted)} runs on correct backends")
    order = {run.level: i for i, run in reversed(list(enumerate(wanted)))}
    ranked = sorted(found, key=lambda run: (order[run.level], found[run].seconds, run))
    return Prepared(own, {run: found[run] for run in ranked}, seconds)


def _measure(own: Mapping[str, Subject], part: list[Run]) -> tuple[dict[Run, Measurement], Budgets]:
    """One case on all bases and in all dtypes, whose budgets are the same."""
    files = {source.file for source in SOURCES}
    found: dict[Run, Measurement] = {}
    known = own[part[0].base].known
    before = set(known)
    for run in part:
        subject = own[run.base]
        _passes(run, subject)
        started = time.process_time()
        lines = reached(files, lambda: _passes(run, subject))  # noqa: B023 - called at once
        found[run] = Measurement(lines, time.process_time() - started)
    return found, {key: known[key] for key in known if key not in before}


def _passes(run: Run, subject: Subject) -> None:
    error = attempt(subject, run.item).error
    if error is not None:
        raise AssertionError(f"{run}, a correct backend: {error}") from error
