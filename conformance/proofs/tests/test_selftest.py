"""What handwritten mutants declare; `lmkernel certify --self-test` judges whether it is true."""

from __future__ import annotations

from fnmatch import fnmatchcase

from lmkernel_conformance.cases import CASES
from lmkernel_proofs.mutants import MUTANTS, ROWS
from lmkernel_proofs.mutants.reach import read_reach


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
