"""Judges handwritten mutants: each runs through all cases, because it names those that may fail.

A case that uses nothing of what a mutant replaces computes what it does on the correct backend,
and is left out.

Constraints: only a discrepancy kills, and only at the level that the mutant declares, below which
no case may fail. Every case that it does not name must pass. Rows of designs run only where no
other case kills, and may fail, as they mix what many mutants break.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, final

from lmkernel_conformance.cases import CASES, LEVELS, items
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.levels import SEVERAL
from lmkernel_proofs.selftest.bases import Run
from lmkernel_proofs.selftest.forks import run_in_children
from lmkernel_proofs.selftest.hunt import failure, quiet
from lmkernel_proofs.selftest.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lmkernel.backend import Backend
    from lmkernel_conformance.subject import Subject
    from lmkernel_proofs.mutants import Mutant
    from lmkernel_proofs.selftest.baseline import Baseline

__all__ = ["Failure", "Judgement", "judge_mutants"]

_LIMIT = 900.0
"""Seconds for all runs of one mutant."""
_UNKNOWN = 1.0
"""Seconds assumed of a run that was not measured: a 16-bit case on the reference backend."""


@final
@dataclass(frozen=True)
class Failure:
    """A case that a mutant fails.

    Args:
        run: case, dtype and base.
        discrepancy: whether a number was wrong, rather than an exception raised.
        message: text of the error.
    """

    run: Run
    discrepancy: bool
    message: str


@final
@dataclass(frozen=True)
class Judgement:
    """A handwritten mutant and all its failures.

    Args:
        mutant: mutant that was judged.
        failures: its failures, lowest level first.
        ran: number of runs that it went through.
        seconds: processor time that judging it took.
        trouble: reason why it could not be judged; empty where it was.
    """

    mutant: Mutant
    failures: tuple[Failure, ...]
    ran: int = 0
    seconds: float = 0.0
    trouble: str = ""

    @property
    def verdict(self) -> Verdict:
        """Killed by a discrepancy of its level, if there is one.

        A case made for the mutant's row of the catalogue comes first, so that the matrix shows it.
        """
        own = [f for f in self.failures if f.run.level == self.mutant.level and f.discrepancy]
        own = sorted(own, key=lambda f: self.mutant.row not in CASES[f.run.case].rows)
        about = {"ran": self.ran, "seconds": self.seconds}
        if own:
            killer = own[0]
            return Verdict(self.mutant.id, "killed", killer.run, killer.message, **about)  # type: ignore[arg-type]  # as named
        return Verdict(self.mutant.id, "survived", message=self.trouble, **about)  # type: ignore[arg-type]  # as named

    @property
    def complaints(self) -> list[str]:
        """Where the mutant's own declarations turned out wrong, a line each."""
        if self.trouble:
            return [self.trouble]
        own, level = self.mutant, LEVELS.index(self.mutant.level)
        found = [
            f"{f.run} fails, which is not in may_fail: {f.message}"
            for f in self.failures
            if not f.run.designed
            and not any(fnmatchcase(f.run.case, pattern) for pattern in own.may_fail)
        ]
        if own.row and not any(own.row in CASES[f.run.case].rows for f in self.failures):
            found.append(f"no case that is made for defect {own.row} of the catalogue sees it")
        lower = [f for f in self.failures if LEVELS.index(f.run.level) < level]
        if lower and not own.higher:
            found.append(f"{lower[0].run} sees it below the level {own.level}")
        if own.higher and not lower:
            found.append("it says that a lower level sees it, and none does")
        return found


def judge_mutants(
    baseline: Baseline, mutants: Iterable[Mutant], *, jobs: int, full: bool
) -> Iterator[Judgement]:
    """Judge each mutant in a process of its own.

    Args:
        baseline: measurements of the correct backends, from `measure_baseline`.
        mutants: mutants to judge.
        jobs: number of processes at a time.
        full: whether slow cases of a mutant's level always run.
    """
    work = functools.partial(judge_mutant, baseline, full=full)
    for done in run_in_children(mutants, work, jobs=jobs, limit=_LIMIT):
        if done.result is None:
            yield Judgement(done.task, (), seconds=done.seconds, trouble=done.trouble)
        else:
            failures, ran = done.result
            yield Judgement(done.task, tuple(failures), ran, done.seconds)


def judge_mutant(baseline: Baseline, mutant: Mutant, *, full: bool) -> tuple[list[Failure], int]:
    """All failures of a mutant, lowest level first, and how many runs there were."""
    right = mutant.base(baseline.subjects["reference"].backend)
    subject = replace(baseline.subjects["reference"], backend=mutant.make(right))
    names = mutant.replaces
    reached = (run for run in _runs(right) if names is None or baseline.may_use(run, names))
    chosen = [(run, _usual_seconds(baseline, run)) for run in reached]
    quick = [pair for pair in chosen if _is_quick(mutant, pair[0], full=full)]
    with quiet(), mutant.patch():
        # A patch changes the core, which makes expected values; a backend cannot reach them.
        sure = mutant.patch is contextlib.nullcontext
        found = [f for run, took in quick for f in _failures(subject, run, took, sure=sure)]
        ran = len(quick)
        # Slow cases and designs are for mutants that no quick case of their level kills.
        if not any(f.discrepancy and f.run.level == mutant.level for f in found):
            slow = [pair for pair in chosen if pair not in quick and pair[0].level == mutant.level]
            found += [f for run, took in slow for f in _failures(subject, run, took, sure=sure)]
            ran += len(slow)
    return sorted(found, key=lambda f: LEVELS.index(f.run.level)), ran


def _is_quick(mutant: Mutant, run: Run, *, full: bool) -> bool:
    """Whether a run is done always, rather than where nothing else of its level kills.

    Up to the mutant's level every dtype counts, as a case there must see it or must not. Above it
    runs only check ``may_fail``, for which float32 without long training is enough. What processes
    do together is asked of its own mutants alone: it trains with everything below it. Rows of
    designs are too many.
    """
    if run.designed or (run.level == SEVERAL and mutant.level != SEVERAL):
        return False
    if LEVELS.index(run.level) > LEVELS.index(mutant.level):
        return run.dtype == "float32" and not run.slow
    return full or not run.slow


def _failures(subject: Subject, run: Run, took: float, *, sure: bool) -> list[Failure]:
    error = failure(subject, run.item, took, sure=sure)
    if error is None:
        return []
    name = "" if isinstance(error, Discrepancy) else f"{type(error).__name__}: "
    return [Failure(run, isinstance(error, Discrepancy), f"{name}{error}")]


def _runs(backend: Backend) -> list[Run]:
    """Every case in every dtype that the backend declares."""
    declared = backend.capabilities.dtypes
    chosen = items(CASES.values(), profile="full", levels=LEVELS, declared=declared)
    return [Run("reference", f"{x.case.level}/{x.case.name}", x.dtype) for x in chosen]


def _usual_seconds(baseline: Baseline, run: Run) -> float:
    measured = baseline.measurements.get(run)
    return _UNKNOWN if measured is None else measured.seconds
