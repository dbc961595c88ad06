"""Judges handwritten mutants: each is run through all cases, since it says which ones may fail.

Constraints: only a discrepancy kills, at the lowest level at which any case fails; a case that the
mutant did not name must pass.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, final

from lmkernel_conformance.cases import CASES, LEVELS, items
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_proofs.selftest.bases import Run
from lmkernel_proofs.selftest.forks import forked
from lmkernel_proofs.selftest.hunt import failure, quiet
from lmkernel_proofs.selftest.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lmkernel.backend import Backend
    from lmkernel_conformance.subject import Subject
    from lmkernel_proofs.mutants import Mutant
    from lmkernel_proofs.selftest.prepared import Prepared

__all__ = ["Failure", "Judged", "judge_mutant", "judge_mutants"]

_LIMIT = 900.0
_UNKNOWN = 1.0
"""Seconds of a run that was not measured: a case in 16 bits on the reference backend."""


@final
@dataclass(frozen=True)
class Failure:
    """A case that a mutant fails.

    Args:
        run: which.
        discrepancy: whether it is one, and no accident.
        message: what it said.
    """

    run: Run
    discrepancy: bool
    message: str


@final
@dataclass(frozen=True)
class Judged:
    """A handwritten mutant, and every failure of it.

    Args:
        mutant: the defect.
        failures: lowest level first.
        ran: how many runs it went through.
        seconds: of the processor.
        trouble: why it was not judged, or empty.
    """

    mutant: Mutant
    failures: tuple[Failure, ...]
    ran: int = 0
    seconds: float = 0.0
    trouble: str = ""

    @property
    def verdict(self) -> Verdict:
        """Killed by the first discrepancy of its level."""
        own = [f for f in self.failures if f.run.level == self.mutant.level and f.discrepancy]
        made_for = sorted(own, key=lambda f: self.mutant.row not in CASES[f.run.case].rows)
        about = {"ran": self.ran, "seconds": self.seconds}
        if made_for:
            killer = made_for[0]
            return Verdict(self.mutant.id, "killed", killer.run, killer.message, **about)  # type: ignore[arg-type]  # as named
        return Verdict(self.mutant.id, "survived", message=self.trouble, **about)  # type: ignore[arg-type]  # as named

    @property
    def complaints(self) -> list[str]:
        """What is wrong with what the mutant says of itself."""
        if self.trouble:
            return [self.trouble]
        own, level = self.mutant, LEVELS.index(self.mutant.level)
        found = [
            f"{f.run} fails, which is not in may_fail: {f.message}"
            for f in self.failures
            if not any(fnmatchcase(f.run.case, pattern) for pattern in own.may_fail)
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
    prepared: Prepared, mutants: Iterable[Mutant], *, jobs: int, full: bool
) -> Iterator[Judged]:
    """Judge each in a process of its own.

    Args:
        prepared: from `prepare`.
        mutants: the defects.
        jobs: processes at a time.
        full: run slow cases as well, also where nothing needs them, and all in every dtype.
    """
    work = functools.partial(judge_mutant, prepared, full=full)
    for done in forked(mutants, work, jobs=jobs, limit=_LIMIT):
        if done.result is None:
            yield Judged(done.task, (), seconds=done.seconds, trouble=done.trouble)
        else:
            failures, ran = done.result
            yield Judged(done.task, tuple(failures), ran, done.seconds)


def judge_mutant(prepared: Prepared, mutant: Mutant, *, full: bool) -> tuple[list[Failure], int]:
    """Every failure, and how many ran."""
    right = mutant.base(prepared.subjects["reference"].backend)
    subject = replace(prepared.subjects["reference"], backend=mutant.make(right))
    chosen = [(run, _took(prepared, run)) for run in _runs(right)]
    quick = [pair for pair in chosen if full or _wanted(mutant, pair[0])]
    with quiet(), mutant.patch():
        sure = mutant.patch is contextlib.nullcontext
        found = [f for run, took in quick for f in _tried(subject, run, took, sure=sure)]
        ran = len(quick)
        if not any(f.discrepancy and f.run.level == mutant.level for f in found):
            slow = [pair for pair in chosen if pair not in quick and pair[0].level == mutant.level]
            found += [f for run, took in slow for f in _tried(subject, run, took, sure=sure)]
            ran += len(slow)
    return sorted(found, key=lambda f: LEVELS.index(f.run.level)), ran


def _wanted(mutant: Mutant, run: Run) -> bool:
    """What is not slow: all up to its own level, and in float32 what is above."""
    below = LEVELS.index(run.level) <= LEVELS.index(mutant.level)
    return not run.slow and (below or run.dtype == "float32")


def _tried(subject: Subject, run: Run, took: float, *, sure: bool) -> list[Failure]:
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


def _took(prepared: Prepared, run: Run) -> float:
    measured = prepared.measured.get(run)
    return _UNKNOWN if measured is None else measured.seconds
