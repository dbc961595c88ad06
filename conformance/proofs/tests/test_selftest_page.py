"""The page of the kill matrix lists the mutants that exist."""

from __future__ import annotations

from pathlib import Path

from kill_matrix_page import handwritten_mutants, section_of

from lmkernel_proofs.mechanical.equivalents import read_equivalents
from lmkernel_proofs.mutants import MUTANTS

PAGE = Path(__file__).parents[3] / "docs" / "kill-matrix.md"


def test_handwritten_mutants_of_the_page_exist_in_their_order() -> None:
    listed = handwritten_mutants(PAGE)
    assert listed == [mutant.id for mutant in MUTANTS if mutant.id in listed]


def test_every_equivalent_is_on_the_page_with_its_proof() -> None:
    text = section_of(PAGE, "Equivalent mutants")
    for entry in read_equivalents().values():
        assert f"- `{entry.id}`: `{entry.change}`" in text
        assert entry.proof in text
