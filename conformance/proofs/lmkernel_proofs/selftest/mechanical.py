"""Judges mechanical mutants: each runs the cases that reach its line, lowest level first.

Constraint: a mutant stays in the child process that installs it, so none can leak into another.
"""

from __future__ import annotations

import ast
import functools
from typing import TYPE_CHECKING

from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_proofs.mechanical.install import install, live_functions
from lmkernel_proofs.selftest.forks import run_in_children
from lmkernel_proofs.selftest.hunt import failure, quiet
from lmkernel_proofs.selftest.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lmkernel_proofs.mechanical.install import Live
    from lmkernel_proofs.mechanical.sites import Change
    from lmkernel_proofs.mechanical.sources import Source
    from lmkernel_proofs.selftest.baseline import Baseline
    from lmkernel_proofs.selftest.bases import Run

__all__ = ["affected_runs", "judge_changes"]

_LIMIT = 300.0
"""Seconds for all runs of one mutant; each case has a limit of its own besides."""
_OPERATIONS = ("lmkernel_numpy.", "lmkernel.composed.")
"""Packages that only compute on the backend, so mutating them cannot move an expected value."""
_ENOUGH = 60
"""A mutant whose first runs all crash is given up after this many: it is broken, not wrong."""


def judge_changes(
    baseline: Baseline, changes: Iterable[Change], *, jobs: int, slow: bool
) -> Iterator[Verdict]:
    """Judge each mutant in a process of its own.

    Args:
        baseline: measurements of the correct backends, from `measure_baseline`.
        changes: mutants to judge.
        jobs: number of processes at a time.
        slow: whether slow cases run as well.
    """
    live = live_functions()
    work = functools.partial(judge_change, baseline, live, slow)
    for done in run_in_children(changes, work, jobs=jobs, limit=_LIMIT):
        if done.result is None:
            yield Verdict(done.task.id, "stillborn", message=done.trouble, seconds=done.seconds)
        else:
            state, by, message, ran = done.result
            yield Verdict(done.task.id, state, by, message, ran, done.seconds)


def affected_runs(baseline: Baseline, change: Change) -> list[Run]:
    """The runs that could notice a mutant, lowest level first."""
    first, last = change.lines
    # A name at the top of a module is evaluated at import, before any case ran: what reaches it
    # are the functions that read the name.
    lines = set(range(first, last + 1))
    for name in change.top:
        lines |= _readers(change.source, name)
    return baseline.reaching(change.source.file, lines)


@functools.cache
def _readers(source: Source, name: str) -> frozenset[int]:
    """Lines of every function that reads a name from the top of its module."""
    found: set[int] = set()
    for f in ast.walk(source.tree()):
        if isinstance(f, ast.FunctionDef) and name in {
            x.id for x in ast.walk(f) if isinstance(x, ast.Name)
        }:
            found.update(range(f.lineno, (f.end_lineno or f.lineno) + 1))
    return frozenset(found)


def judge_change(
    baseline: Baseline, live: Live, slow: bool, change: Change
) -> tuple[str, Run | None, str, int]:
    """Run the affected cases until one kills the mutant.

    Returns:
        The state, the run that killed it, that run's message, and how many ran.
    """
    found = [run for run in affected_runs(baseline, change) if slow or not run.slow]
    accidents: list[str] = []
    sure = change.source.module.startswith(_OPERATIONS)
    with quiet(), install(change, live):
        for ran, run in enumerate(found, 1):
            subject, took = baseline.subjects[run.base], _usual_seconds(baseline, run)
            error = failure(subject, run.item, took, sure=sure)
            if isinstance(error, Discrepancy):
                return "killed", run, str(error), ran
            if error is not None:
                # A crash does not decide anything: a later case may still see a wrong number.
                accidents.append(f"{run}: {type(error).__name__}: {error}")
            if ran == len(accidents) == _ENOUGH:
                break
    accident = accidents[0] if accidents else ""
    state = "stillborn" if accident else "survived" if found else "unreached"
    return state, None, accident, len(found)


def _usual_seconds(baseline: Baseline, run: Run) -> float:
    return baseline.measurements[run].seconds
