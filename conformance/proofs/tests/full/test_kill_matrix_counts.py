"""The page of the kill matrix counts the mutants that exist; asked where all of them are judged."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from lmkernel_proofs.mechanical.sites import changes

PAGE = Path(__file__).parents[4] / "docs" / "kill-matrix.md"


def test_every_mechanical_mutant_is_counted_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    section = text.partition("## Mechanical mutants\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (\d+) ", section, re.MULTILINE)
    mutants = changes()
    expected = Counter(c.source.label for c in mutants) + Counter(c.mutator for c in mutants)
    assert {name: int(count) for name, count in rows} == dict(expected)
