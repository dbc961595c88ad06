"""Every formula of the oracle has a witness, and every witness that is listed exists."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lmkernel.contract.mandatory import MandatoryOps
from lmkernel.contract.optional import OptionalOps
from lmkernel_conformance import oracle
from lmkernel_proofs.witnesses.agreement import oracle_slopes, oracle_values
from lmkernel_proofs.witnesses.libraries import TORCH
from lmkernel_proofs.witnesses.operations import OPERATIONS
from lmkernel_proofs.witnesses.page import BEGIN, END, fill_page
from lmkernel_proofs.witnesses.table import BESIDE, POINTS, functions, witnesses

if TYPE_CHECKING:
    from types import FrameType

ORACLE = Path(oracle.__file__).parent
ROOT = Path(__file__).parents[3]


def test_every_function_of_the_oracle_has_a_witness() -> None:
    assert set(functions()) - {witness.of for witness in witnesses()} == set()


def test_every_function_has_one_in_closed_form_at_a_point() -> None:
    assert set(functions()) - {of for point in POINTS.values() for of in point.of} == set()


def test_every_witness_is_of_a_function_that_is_there() -> None:
    assert {witness.of for witness in witnesses()} - set(functions()) == set()


@pytest.mark.parametrize("name", POINTS)
def test_a_point_runs_what_it_is_a_witness_of(name: str) -> None:
    point, ran = POINTS[name], set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.parent == ORACLE:
            ran.add(f"{file.stem}.{frame.f_code.co_qualname}")

    sys.setprofile(note)
    try:
        oracle_values(point)
        if point.gradient:
            oracle_slopes(point)
    finally:
        sys.setprofile(None)
    called = {of for of in point.of if any(n == of or n.startswith(f"{of}.") for n in ran)}
    assert set(point.of) - called == set()


def test_every_library_is_at_a_point() -> None:
    assert set(TORCH) - set(POINTS) == set()


@pytest.mark.parametrize("witness", BESIDE, ids=lambda w: f"{w.kind} of {w.of}")
def test_tests_beside_the_points_are_there(witness: Any) -> None:
    file, _, test = witness.where.partition("::")
    assert f"def {test}(" in (ROOT / file).read_text("utf-8")


def test_every_operation_of_the_contract_names_its_formula() -> None:
    methods = {n for tier in (MandatoryOps, OptionalOps) for n in vars(tier) if n[0] != "_"}
    assert set(OPERATIONS) == methods
    dotted = {by for by in OPERATIONS.values() if " " not in by}
    assert dotted - set(functions()) == set()


def test_page_says_what_is_registered() -> None:
    page = (ROOT / "docs" / "oracle.md").read_text("utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    assert page == fill_page(page)
