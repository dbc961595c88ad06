"""The self-test as a whole: measure the correct backends, then judge every mutant."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lmkernel_proofs.mechanical.equivalents import read_equivalents
from lmkernel_proofs.mechanical.sites import changes
from lmkernel_proofs.mutants import MUTANTS
from lmkernel_proofs.selftest.acceptance import require_variants
from lmkernel_proofs.selftest.baseline import measure_baseline
from lmkernel_proofs.selftest.handwritten import judge_mutants
from lmkernel_proofs.selftest.keeping import Kept
from lmkernel_proofs.selftest.mechanical import judge_changes
from lmkernel_proofs.selftest.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from lmkernel_proofs.mechanical.equivalents import Equivalent
    from lmkernel_proofs.mechanical.sites import Change
    from lmkernel_proofs.mutants import Mutant
    from lmkernel_proofs.selftest.baseline import Baseline
    from lmkernel_proofs.selftest.handwritten import Judgement
    from lmkernel_proofs.selftest.verdict import Verdict

__all__ = ["entries_of_sample", "judge_mechanical", "self_test"]


def self_test(
    *,
    jobs: int,
    full: bool = False,
    every: int = 1,
    mutants: str = "all",
    keep: Path | None = None,
    notify: Callable[[str], None],
) -> Report:
    """Judge every mutant, or a sample of them.

    Args:
        jobs: number of processes at a time.
        full: whether slow cases run for every mutant of their level, rather than for those that
            quick ones miss.
        every: how far apart the mutants are that are judged, and the cases that honest variants
            run: 1 for all of them.
        mutants: ``"handwritten"``, ``"mechanical"`` or ``"all"``.
        keep: file that verdicts are added to as they come, and taken from where an earlier run
            found them.
        notify: function that is called with a line of progress.

    Raises:
        AssertionError: a correct backend, or an honest variant of it, fails a case.
        InputError: the system cannot fork, or the file holds something else.
    """
    started, known, kept = time.monotonic(), read_equivalents(), Kept(keep, full=full)
    baseline = measure_baseline(jobs, notify)
    right = baseline.subjects["reference"]
    require_variants(right, jobs, every=every, full=full, notify=notify)
    chosen = () if mutants == "mechanical" else MUTANTS[::every]
    written = _judge_handwritten(baseline, chosen, kept, jobs, full=full, notify=notify)
    possible = list(changes())
    sample = [] if mutants == "handwritten" else possible[::every]
    made = judge_mechanical(baseline, sample, known, kept, jobs=jobs, full=full, notify=notify)
    kept.close()
    spent = sum(j.seconds for j in written) + sum(verdict.seconds for _, verdict in made)
    return Report(
        handwritten=tuple(written),
        mechanical=tuple(made),
        equivalents=entries_of_sample(known, possible=possible, sample=sample),
        full=full,
        every=every,
        mutants=mutants,
        seconds=baseline.seconds + spent,
        elapsed=time.monotonic() - started,
    )


def entries_of_sample(
    known: dict[str, Equivalent], *, possible: list[Change], sample: list[Change]
) -> dict[str, Equivalent]:
    """The list of equivalents without the mutants that a sample leaves out.

    Entries that fit no mutant at all stay, so that they are still complained of.
    """
    left_out = {change.id for change in possible} - {change.id for change in sample}
    return {name: entry for name, entry in known.items() if name not in left_out}


def _judge_handwritten(
    baseline: Baseline,
    mutants: Sequence[Mutant],
    kept: Kept,
    jobs: int,
    *,
    full: bool,
    notify: Callable[[str], None],
) -> list[Judgement]:
    known = {mutant.id: kept.judgement(mutant) for mutant in mutants}
    found = {name: judgement for name, judgement in known.items() if judgement}
    new = [mutant for mutant in mutants if mutant.id not in found]
    for judgement in judge_mutants(baseline, new, jobs=jobs, full=full):
        found[judgement.mutant.id] = judgement
        kept.keep(judgement)
        notify(f"handwritten {len(found)} of {len(mutants)}: {judgement.mutant.id}")
    return [found[mutant.id] for mutant in mutants]


def judge_mechanical(
    baseline: Baseline,
    made: Iterable[Change],
    known: dict[str, Equivalent],
    kept: Kept,
    *,
    jobs: int,
    full: bool,
    notify: Callable[[str], None],
) -> list[tuple[Change, Verdict]]:
    """Judge mechanical mutants and return their verdicts in the order of the mutants."""
    ordered = {change.id: change for change in made}
    earlier = {name: kept.verdict(name) for name in ordered}
    found = {name: verdict for name, verdict in earlier.items() if verdict}

    def judge(chosen: list[Change], *, slow: bool) -> None:
        for verdict in judge_changes(baseline, chosen, jobs=jobs, slow=slow):
            found[verdict.id] = verdict
            kept.keep(verdict)
            notify(f"mechanical {len(found)} of {len(ordered)}: {verdict.id}")

    judge([change for name, change in ordered.items() if name not in found], slow=full)
    alive = [name for name, v in found.items() if v.state in ("survived", "unreached")]
    # Nearly all mutants die of a quick case. Slow ones are for the others only, and not where a
    # proof says that nothing can kill them.
    if not full:
        judge([ordered[name] for name in alive if name not in known], slow=True)
    return [(change, found[name]) for name, change in ordered.items()]
