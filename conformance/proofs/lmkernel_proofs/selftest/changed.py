"""Judges mechanical mutants: only the cases that run the changed line, lowest level first."""

from __future__ import annotations

import ast
import functools
from typing import TYPE_CHECKING

from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_proofs.mechanical.install import installed, live_functions
from lmkernel_proofs.selftest.forks import forked
from lmkernel_proofs.selftest.hunt import failure, quiet
from lmkernel_proofs.selftest.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lmkernel_proofs.mechanical.install import Live
    from lmkernel_proofs.mechanical.sites import Change
    from lmkernel_proofs.mechanical.sources import Source
    from lmkernel_proofs.selftest.bases import Run
    from lmkernel_proofs.selftest.prepared import Prepared

__all__ = ["affected", "judge_change", "judge_changes"]

_LIMIT = 300.0
"""Seconds for one mutant in all; each case has a limit of its own."""
_OPERATIONS = ("lmkernel_numpy.", "lmkernel.composed.")
"""What only computes on the backend, and so cannot reach what is expected."""
_ENOUGH = 60
"""Runs that end in an accident, all of them, after which no other is waited for."""


def judge_changes(
    prepared: Prepared, changes: Iterable[Change], *, jobs: int, slow: bool
) -> Iterator[Verdict]:
    """Judge each in a process of its own.

    Args:
        prepared: from `prepare`.
        changes: the mutants.
        jobs: processes at a time.
        slow: whether slow cases run as well.
    """
    live = live_functions()
    work = functools.partial(judge_change, prepared, live, slow)
    for done in forked(changes, work, jobs=jobs, limit=_LIMIT):
        if done.result is None:
            yield Verdict(done.task.id, "stillborn", message=done.trouble, seconds=done.seconds)
        else:
            state, by, message, ran = done.result
            yield Verdict(done.task.id, state, by, message, ran, done.seconds)


def affected(prepared: Prepared, change: Change) -> list[Run]:
    """The runs that could notice it, lowest level first."""
    first, last = change.lines
    lines = set(range(first, last + 1))
    for name in change.top:
        lines |= _readers(change.source, name)
    return prepared.reaching(change.source.file, lines)


@functools.cache
def _readers(source: Source, name: str) -> frozenset[int]:
    """The lines of every function that reads a name from the top of its module."""
    found: set[int] = set()
    for f in ast.walk(source.tree()):
        if isinstance(f, ast.FunctionDef) and name in {
            x.id for x in ast.walk(f) if isinstance(x, ast.Name)
        }:
            found.update(range(f.lineno, (f.end_lineno or f.lineno) + 1))
    return frozenset(found)


def judge_change(
    prepared: Prepared, live: Live, slow: bool, change: Change
) -> tuple[str, Run | None, str, int]:
    """Run the affected cases until one kills it: state, killer, message, how many ran."""
    found = [run for run in affected(prepared, change) if slow or not run.slow]
    accidents: list[str] = []
    sure = change.source.module.startswith(_OPERATIONS)
    with quiet(), installed(change, live):
        for ran, run in enumerate(found, 1):
            subject, took = prepared.subjects[run.base], _took(prepared, run)
            error = failure(subject, run.item, took, sure=sure)
            if isinstance(error, Discrepancy):
                return "killed", run, str(error), ran
            if error is not None:
                accidents.append(f"{run}: {type(error).__name__}: {error}")
            if ran == len(accidents) == _ENOUGH:
                break
    accident = accidents[0] if accidents else ""
    state = "stillborn" if accident else "survived" if found else "unreached"
    return state, None, accident, len(found)


def _took(prepared: Prepared, run: Run) -> float:
    return prepared.measured[run].seconds
