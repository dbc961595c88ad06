"""The parts of the self-test: processes, lines, limits, verdicts; and that it can fail."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel_conformance.cases import Case, Item
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_proofs.mechanical.equivalents import Equivalent
from lmkernel_proofs.mechanical.sites import Change, changes
from lmkernel_proofs.mutants import Mutant
from lmkernel_proofs.selftest.baseline import Baseline, measure_baseline
from lmkernel_proofs.selftest.bases import BASES, LEVELS, Run, runs
from lmkernel_proofs.selftest.coverage import trace_lines
from lmkernel_proofs.selftest.forks import run_in_children
from lmkernel_proofs.selftest.handwritten import Failure, Judgement
from lmkernel_proofs.selftest.hunt import failure
from lmkernel_proofs.selftest.keeping import Kept
from lmkernel_proofs.selftest.mechanical import affected_runs
from lmkernel_proofs.selftest.report import Report
from lmkernel_proofs.selftest.session import entries_of_sample, judge_mechanical
from lmkernel_proofs.selftest.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel_conformance.subject import Subject

_SILU, _SIGMOID = "operations/silu", "operations/sigmoid"


def _quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def few() -> Baseline:
    """A suite of two cases, on every base."""
    return measure_baseline(2, _quiet, [run for run in runs() if run.case in (_SILU, _SIGMOID)])


def _changes_of(function: str, mutator: str = "") -> list[Change]:
    return [c for c in changes() if c.id.startswith(f"{function}:{mutator}")]


# processes


def test_work_is_done_in_other_processes() -> None:
    done = list(run_in_children(range(5), lambda n: (n * n, os.getpid()), jobs=2, limit=30))
    assert sorted(d.result[0] for d in done) == [0, 1, 4, 9, 16]
    assert os.getpid() not in {d.result[1] for d in done}


def test_a_process_that_hangs_or_dies_costs_its_own_task_only() -> None:
    def work(n: int) -> int:
        if n == 1:
            time.sleep(60)
        if n == 2:
            os._exit(7)
        return n

    found = {done.task: done for done in run_in_children(range(4), work, jobs=3, limit=2)}
    assert [found[n].result for n in range(4)] == [0, None, None, 3]
    assert found[1].trouble == "it took too long"
    assert found[2].trouble.startswith("its process ended")


# lines


def test_lines_are_those_that_ran() -> None:
    def f(x: int) -> int:
        if x > 0:
            return x
        return -x

    first = f.__code__.co_firstlineno
    ran = trace_lines([__file__], lambda: f(3))
    assert {(__file__, first + 1), (__file__, first + 2)} <= ran
    assert (__file__, first + 3) not in ran


def test_lines_of_other_files_are_not_followed() -> None:
    assert trace_lines(["/no/such/file.py"], lambda: np.ones(3).sum()) == frozenset()


def test_only_cases_that_reach_a_change_are_affected(few: Baseline) -> None:
    (change, *_) = _changes_of("composed/activation.py:silu")
    assert {run.case for run in affected_runs(few, change)} == {_SILU}
    (elsewhere, *_) = _changes_of("composed/optimizer.py:adam_update")
    assert affected_runs(few, elsewhere) == []


def test_a_number_of_a_module_affects_what_reads_it() -> None:
    chosen = [r for r in runs() if r.case == "operations/attention.masked" and r.base == "composed"]
    own = measure_baseline(1, _quiet, [*chosen, *(r for r in runs() if r.case == _SILU)])
    (change, *_) = _changes_of("composed/attention.py:_HIDDEN")
    assert {run.case for run in affected_runs(own, change)} == {"operations/attention.masked"}


def test_lower_levels_and_quick_cases_come_first() -> None:
    own = measure_baseline(
        2, _quiet, [r for r in runs() if "/silu" in r.case or "/swiglu" in r.case]
    )
    order = [(LEVELS.index(run.level), found.seconds) for run, found in own.measurements.items()]
    assert order == sorted(order)
    assert {run.base for run in own.measurements} <= set(BASES)


# verdicts


def _item(run: Callable[[Subject], None]) -> Item:
    return Item(Case(level="operations", name="own", run=run), "float32")


def test_a_case_that_loops_for_ever_is_ended(few: Baseline) -> None:
    def loop(_: Subject) -> None:
        while True:
            pass

    error = failure(few.subjects["reference"], _item(loop), 0.01)
    assert type(error).__name__ == "TooLongError"


def test_a_discrepancy_with_budgets_of_others_alone_is_none(few: Baseline) -> None:
    """Expected values that the defect reaches as well agree with it."""
    one = few.subjects["reference"]
    about = replace(one, known={})
    scale = [1.0]

    def run(s: Subject) -> None:
        x = np.ones(3)
        s.agree("value", s.array(x * scale[0]), lambda ar: ar.constant(x * scale[0]))

    assert failure(about, _item(run), 0.1) is None
    known = dict(about.known)
    own = replace(about, case="operations/own", dtype="float32", known=known)
    run(own)
    scale[0] = 2.0
    with pytest.raises(Discrepancy):
        run(own)
    assert failure(own, _item(run), 0.1) is None


def _verdicts(few: Baseline, chosen: list[Change]) -> dict[str, Verdict]:
    found = judge_mechanical(
        few, chosen, {}, Kept(None, full=True), jobs=2, full=True, notify=_quiet
    )
    return {verdict.id: verdict for _, verdict in found}


def test_a_mutant_is_killed_by_a_discrepancy(few: Baseline) -> None:
    (change,) = _changes_of("composed/activation.py:silu", "arithmetic")
    verdict = _verdicts(few, [change])[change.id]
    assert (verdict.state, verdict.by and verdict.by.case) == ("killed", _SILU)


def test_a_mutant_that_only_crashes_is_stillborn(few: Baseline) -> None:
    chosen = list(_changes_of("lmkernel_numpy/ops.py:_sigmoid", "swap"))
    chosen += list(_changes_of("lmkernel_numpy/overrides.py:silu", "name"))
    states = {c.after: _verdicts(few, chosen)[c.id] for c in chosen}
    assert all(v.state in ("killed", "stillborn", "survived") for v in states.values())
    assert all(v.message for v in states.values() if v.state == "stillborn")


def test_a_suite_that_does_not_look_lets_mutants_live(few: Baseline) -> None:
    """Nothing of the cases that reach these is there."""
    chosen = _changes_of("composed/attention.py:_weights")[:3]
    assert {v.state for v in _verdicts(few, chosen).values()} == {"unreached"}


def test_a_suite_whose_cases_look_away_lets_mutants_live() -> None:
    """`compile` is reached through operations whose values nobody compares."""
    own = measure_baseline(
        1, _quiet, [r for r in runs() if r.case == "operations/overrides.are_tried"]
    )
    chosen = _changes_of("composed/activation.py:silu")
    assert not [v for v in _verdicts(own, chosen).values() if v.state == "killed"]


# handwritten ones


def _judgement(level: str, case: str, **about: Any) -> Judgement:
    """A mutant of a level that fails a case of the level ``operations``."""
    mutant = Mutant(id="own", level=level, make=lambda backend: backend, **about)
    run = Run("reference", case, "float32")
    return Judgement(mutant, (Failure(run, discrepancy=True, message="other"),))


def test_a_mutant_is_killed_at_its_own_level_only() -> None:
    assert _judgement("operations", _SILU).verdict.state == "killed"
    assert _judgement("models", _SILU).verdict.state == "survived"


def test_a_crash_kills_nothing() -> None:
    (failure_of,) = _judgement("operations", _SILU).failures
    crash = replace(failure_of, discrepancy=False)
    assert replace(_judgement("operations", _SILU), failures=(crash,)).verdict.state == "survived"


def test_a_case_that_a_mutant_did_not_name_must_pass() -> None:
    (complaint,) = _judgement("operations", _SILU).complaints
    assert "operations/silu[float32] on reference fails, which is not in may_fail" in complaint
    named = replace(_judgement("operations", _SILU).mutant, may_fail=("operations/sil*",))
    assert replace(_judgement("operations", _SILU), mutant=named).complaints == []


def test_a_lower_level_must_not_see_it_unless_there_is_a_reason() -> None:
    judgement = _judgement("models", _SILU)
    named = replace(judgement.mutant, may_fail=("operations/*",))
    (complaint,) = replace(judgement, mutant=named).complaints
    assert "sees it below the level models" in complaint
    explained = replace(named, higher="shown in a model as well")
    assert replace(judgement, mutant=explained).complaints == []
    (needless,) = replace(judgement, mutant=replace(explained, level="operations")).complaints
    assert "none does" in needless


# the report


def _report(verdict: Verdict, equivalents: dict[str, Equivalent]) -> Report:
    change = replace(changes()[0], id=verdict.id)
    return Report((), ((change, verdict),), equivalents, full=False, seconds=1, elapsed=1)


def test_survivors_are_problems_unless_they_are_proved_equivalent() -> None:
    change = changes()[0]
    alive = Verdict(change.id, "survived")
    known = {change.id: Equivalent(change.id, change.text, "both are one")}
    assert any("is survived" in line for line in _report(alive, {}).problems)
    assert not any(change.id in line for line in _report(alive, known).problems)


def test_an_equivalent_that_is_killed_is_a_problem() -> None:
    change = changes()[0]
    dead = Verdict(change.id, "killed", Run("reference", _SILU, "float32"), "other")
    known = {change.id: Equivalent(change.id, change.text, "both are one")}
    assert any("listed as equivalent, but is killed" in x for x in _report(dead, known).problems)


def test_too_few_mutants_are_a_problem() -> None:
    assert any("expected 300 mechanical" in x for x in _report(Verdict("a", "killed"), {}).problems)


def test_a_sample_needs_fewer_kills_and_says_that_it_is_one() -> None:
    report = replace(_report(Verdict("a", "killed"), {}), every=3)
    assert any("expected 100 mechanical" in line for line in report.problems)
    assert "mechanical:  1 mutants (one in 3), 1 killed" in report.text


def test_a_sample_keeps_its_own_entries_and_those_that_fit_nothing() -> None:
    possible = list(changes()[:4])
    entries = {c.id: Equivalent(c.id, c.text, "a proof") for c in possible}
    entries["gone"] = Equivalent("gone", "fits nothing", "a proof")
    kept = entries_of_sample(entries, possible=possible, sample=possible[::2])
    assert set(kept) == {possible[0].id, possible[2].id, "gone"}


def test_a_case_that_is_made_for_the_defect_must_see_it() -> None:
    judgement = _judgement("operations", _SILU)
    named = replace(judgement.mutant, may_fail=("operations/*",), row=30)
    (complaint,) = replace(judgement, mutant=named).complaints
    assert complaint == "no case that is made for defect 30 of the catalogue sees it"
