"""The correct backend passes, and every mutant is killed at its level."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from lmkernel.backend import load_backend
from lmkernel_conformance.cases import CASES
from lmkernel_conformance.mutants import MUTANTS, ROWS, Mutant
from lmkernel_conformance.mutants.reach import read_reach
from lmkernel_conformance.selftest.first import judge, passes
from lmkernel_conformance.subject import Subject


@pytest.fixture(scope="module")
def known() -> Subject:
    """The correct backend, with the budgets of all that mutants are made of."""
    subject = Subject(backend=load_backend("numpy"))
    bases = {(mutant.level, mutant.base): mutant for mutant in MUTANTS}
    assert [m.level for m in bases.values() if not passes(m, subject)] == []
    return subject


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.id)
def test_mutant_is_killed(mutant: Mutant, known: Subject) -> None:
    trial = judge(mutant, known)
    assert trial.by is not None, f"{mutant.id} survived level {mutant.level}"
    assert trial.by.case.level == mutant.level
    assert not mutant.row or mutant.row in trial.by.case.rows


def test_every_row_of_this_stage_has_a_mutant_and_a_case() -> None:
    assert {m.row for m in MUTANTS} - {0} == ROWS
    assert {row for case in CASES.values() for row in case.rows} == ROWS


def test_names_are_unique() -> None:
    assert len({m.id for m in MUTANTS}) == len(MUTANTS)


def test_every_mutant_says_which_cases_may_fail() -> None:
    assert list(read_reach()) == [m.id for m in MUTANTS]
    assert [m.id for m in MUTANTS if not m.may_fail] == []


def test_no_pattern_is_of_cases_that_are_not_there() -> None:
    patterns = {pattern for m in MUTANTS for pattern in m.may_fail}
    assert [p for p in sorted(patterns) if not any(fnmatchcase(name, p) for name in CASES)] == []


def test_a_mutant_may_fail_a_case_of_its_level() -> None:
    assert [m.id for m in MUTANTS if not any(p.startswith(m.level) for p in m.may_fail)] == []
