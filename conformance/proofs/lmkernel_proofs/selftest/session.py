"""The self-test as a whole: what is known is measured, then every mutant is judged."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lmkernel_proofs.mechanical.equivalents import read_equivalents
from lmkernel_proofs.mechanical.sites import changes
from lmkernel_proofs.mutants import MUTANTS
from lmkernel_proofs.selftest.changed import judge_changes
from lmkernel_proofs.selftest.handwritten import judge_mutants
from lmkernel_proofs.selftest.prepared import prepare
from lmkernel_proofs.selftest.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lmkernel_proofs.mechanical.equivalents import Equivalent
    from lmkernel_proofs.mechanical.sites import Change
    from lmkernel_proofs.selftest.handwritten import Judged
    from lmkernel_proofs.selftest.prepared import Prepared
    from lmkernel_proofs.selftest.verdict import Verdict

__all__ = ["mechanical", "self_test"]


def self_test(*, jobs: int, full: bool = False, told: Callable[[str], None]) -> Report:
    """Judge every mutant.

    Args:
        jobs: processes at a time.
        full: run slow cases on all, also on those that quick ones tell enough of.
        told: is told of progress, a line each.

    Raises:
        AssertionError: a correct backend does not pass.
        InputError: the system cannot fork.
    """
    started, known = time.monotonic(), read_equivalents()
    prepared = prepare(jobs, told)
    written = _handwritten(prepared, jobs, full=full, told=told)
    made = mechanical(prepared, changes(), known, jobs=jobs, full=full, told=told)
    spent = sum(j.seconds for j in written) + sum(verdict.seconds for _, verdict in made)
    return Report(
        handwritten=tuple(written),
        mechanical=tuple(made),
        equivalents=known,
        full=full,
        seconds=prepared.seconds + spent,
        elapsed=time.monotonic() - started,
    )


def _handwritten(
    prepared: Prepared, jobs: int, *, full: bool, told: Callable[[str], None]
) -> list[Judged]:
    found: dict[str, Judged] = {}
    for judged in judge_mutants(prepared, MUTANTS, jobs=jobs, full=full):
        found[judged.mutant.id] = judged
        told(f"handwritten {len(found)} of {len(MUTANTS)}: {judged.mutant.id}")
    return [found[mutant.id] for mutant in MUTANTS]


def mechanical(
    prepared: Prepared,
    made: Iterable[Change],
    known: dict[str, Equivalent],
    *,
    jobs: int,
    full: bool,
    told: Callable[[str], None],
) -> list[tuple[Change, Verdict]]:
    """Judge mechanical mutants, in their order; what quick cases do not see, all cases see to."""
    ordered = {change.id: change for change in made}
    found: dict[str, Verdict] = {}

    def judge(chosen: list[Change], *, slow: bool) -> None:
        for verdict in judge_changes(prepared, chosen, jobs=jobs, slow=slow):
            found[verdict.id] = verdict
            told(f"mechanical {len(found)} of {len(ordered)}: {verdict.id}")

    judge(list(ordered.values()), slow=full)
    alive = [name for name, v in found.items() if v.state in ("survived", "unreached")]
    if not full:
        judge([ordered[name] for name in alive if name not in known], slow=True)
    return [(change, found[name]) for name, change in ordered.items()]
