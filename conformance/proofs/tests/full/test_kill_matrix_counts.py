"""The page of the kill matrix counts the mutants that exist; asked where all of them are judged."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from kill_matrix_page import handwritten_mutants, section_of

from lmkernel_proofs.mechanical.sites import changes
from lmkernel_proofs.mutants import MUTANTS

PAGE = Path(__file__).parents[4] / "docs" / "kill-matrix.md"


def test_every_mechanical_mutant_is_counted_on_the_page() -> None:
    section = section_of(PAGE, "Mechanical mutants")
    rows = re.findall(r"^\| `([^`]+)` \| (\d+) ", section, re.MULTILINE)
    mutants = changes()
    expected = Counter(c.source.label for c in mutants) + Counter(c.mutator for c in mutants)
    assert {name: int(count) for name, count in rows} == dict(expected)


def test_every_handwritten_mutant_is_on_the_page() -> None:
    assert handwritten_mutants(PAGE) == [mutant.id for mutant in MUTANTS]
