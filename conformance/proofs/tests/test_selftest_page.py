"""The page of the kill matrix lists the mutants that exist."""

from __future__ import annotations

import re
from pathlib import Path

from lmkernel_proofs.mechanical.equivalents import read_equivalents
from lmkernel_proofs.mutants import MUTANTS

PAGE = Path(__file__).parents[3] / "docs" / "kill-matrix.md"


def _section(title: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_every_handwritten_mutant_is_on_the_page() -> None:
    listed = re.findall(r"^\| `([^`]+)`", _section("Handwritten mutants"), re.MULTILINE)
    assert listed == [mutant.id for mutant in MUTANTS]


def test_every_equivalent_is_on_the_page_with_its_proof() -> None:
    text = _section("Equivalent mutants")
    for entry in read_equivalents().values():
        assert f"- `{entry.id}`: `{entry.change}`" in text
        assert entry.proof in text
