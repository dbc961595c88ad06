"""The correct backend passes, and every mutant is killed at its level."""

from __future__ import annotations

import pytest

from lmkernel.backend import load_backend
from lmkernel_conformance.cases import CASES
from lmkernel_conformance.mutants import MUTANTS, ROWS, Mutant
from lmkernel_conformance.selftest import judge, passes
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
