"""Measures correct backends before anything is broken: budgets, lines run, seconds taken.

Constraint: a correct backend passes every case; the self-test stops at one that does not.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, final

from lmkernel.backend import load_backend
from lmkernel_conformance.runner import attempt
from lmkernel_conformance.subject import Subject
from lmkernel_proofs.mechanical.sources import SOURCES
from lmkernel_proofs.mutants import MUTANTS
from lmkernel_proofs.mutants.mutant import Patch
from lmkernel_proofs.selftest.bases import BASES, Run, runs
from lmkernel_proofs.selftest.coverage import Lines, trace_lines
from lmkernel_proofs.selftest.forks import run_in_children
from lmkernel_proofs.selftest.uses import ALL, note_calls, note_uses
from lmkernel_proofs.threads import in_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lmkernel_conformance.budget import Budget

__all__ = ["Baseline", "Measurement", "measure_baseline"]

Budgets = dict[tuple[str, str, str], "list[Budget]"]
_LIMIT = 600.0
"""Seconds for one case on all bases."""
_PATCHED = sorted({p.where for m in MUTANTS if isinstance(p := m.patch, Patch) and p.called})
"""Names of what is called in the core and that some mutant patches."""


@final
@dataclass(frozen=True)
class Measurement:
    """One run on a correct backend.

    Args:
        lines: lines of the mutated sources that it reaches.
        uses: names of the operations, components and patched functions that it uses.
        seconds: processor time, with its budgets known and its lines traced.
    """

    lines: Lines
    uses: frozenset[str]
    seconds: float


@final
@dataclass(frozen=True)
class Baseline:
    """Measurements of the correct backends, made once and used for every mutant.

    Args:
        subjects: correct backend of each base; all share one table of budgets.
        measurements: measurement of every run, lowest level first, quick runs first within one.
        seconds: processor time that measuring took.
    """

    subjects: Mapping[str, Subject]
    measurements: Mapping[Run, Measurement]
    seconds: float = field(default=0.0, compare=False)

    @property
    def budgets(self) -> Budgets:
        """The budgets of all cases."""
        return next(iter(self.subjects.values())).known

    def reaching(self, file: str, lines: Iterable[int]) -> list[Run]:
        """The runs that reach any of the lines of a file."""
        wanted = frozenset((file, line) for line in lines)
        return [run for run, found in self.measurements.items() if wanted & found.lines]

    def may_use(self, run: Run, names: frozenset[str]) -> bool:
        """Whether a run uses anything of these names; one that was not measured may."""
        found = self.measurements.get(run)
        return found is None or ALL in found.uses or not names.isdisjoint(found.uses)


def subjects() -> dict[str, Subject]:
    """A correct backend of each base, with one table of budgets."""
    backend = load_backend("numpy")
    known: Budgets = {}
    return {
        name: Subject(backend=base.make(backend), known=known, together=in_threads)
        for name, base in BASES.items()
    }


def measure_baseline(
    jobs: int, notify: Callable[[str], None], chosen: Iterable[Run] | None = None
) -> Baseline:
    """Run every case on the correct backends.

    Args:
        jobs: number of processes at a time.
        notify: function that is called with a line of progress.
        chosen: some of `runs`, instead of all.

    Raises:
        AssertionError: a correct backend fails a case.
    """
    wanted = list(runs() if chosen is None else chosen)
    by_case: dict[str, list[Run]] = {}
    for run in wanted:
        by_case.setdefault(run.case, []).append(run)
    own = subjects()
    # Imported now, so that children inherit the modules and no import is traced in a case.
    for source in SOURCES:
        source.load()
    found: dict[Run, Measurement] = {}
    seconds, known = 0.0, next(iter(own.values())).known
    for done in run_in_children(
        by_case.values(), lambda part: _measure(own, part), jobs=jobs, limit=_LIMIT
    ):
        if done.result is None:
            raise AssertionError(f"{done.task[0].case} on a correct backend: {done.trouble}")
        measurements, budgets = done.result
        known.update(budgets)
        found.update(measurements)
        seconds += done.seconds
        notify(f"measured {len(found)} of {len(wanted)} runs on correct backends")
    order = {run.level: i for i, run in reversed(list(enumerate(wanted)))}
    ranked = sorted(found, key=lambda run: (order[run.level], found[run].seconds, run))
    return Baseline(own, {run: found[run] for run in ranked}, seconds)


def _measure(own: Mapping[str, Subject], part: list[Run]) -> tuple[dict[Run, Measurement], Budgets]:
    """Run one case on all bases in all dtypes, which share its budgets."""
    files = {source.file for source in SOURCES}
    found: dict[Run, Measurement] = {}
    known = own[part[0].base].known
    before = set(known)
    for run in part:
        subject, uses = own[run.base], set[str]()
        # The first run measures the budgets; the second is timed and traced as mutants will run.
        # Calls are noted in both, as the second may find what the first has left.
        with note_calls(_PATCHED, uses):
            _require_pass(run, subject)
            noting = replace(subject, backend=note_uses(subject.backend, uses))
            started = time.process_time()
            lines = trace_lines(files, lambda: _require_pass(run, noting))  # noqa: B023 - called at once
        found[run] = Measurement(lines, frozenset(uses), time.process_time() - started)
    return found, {key: known[key] for key in known if key not in before}


def _require_pass(run: Run, subject: Subject) -> None:
    error = attempt(subject, run.item).error
    if error is not None:
        raise AssertionError(f"{run}, a correct backend: {error}") from error
