"""The contract's page says what holds at the edges; each sentence names the case that checks it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lmkernel_conformance.cases import CASES

PAGE = Path(__file__).parents[2] / "docs/contract.md"
_, _, _REST = PAGE.read_text(encoding="utf-8").partition("\n## Edges\n")
EDGES, _, _ = _REST.partition("\n## ")
SENTENCES = re.findall(r"^- (.*?)(?=\n- |\n\n|\Z)", EDGES, re.DOTALL | re.MULTILINE)
NO_CASE = "Second derivatives"
"""The one entry that settles nothing but says what is undefined."""


def test_there_is_a_sentence_for_each_case_of_the_edges() -> None:
    named = {name for text in SENTENCES for name in re.findall(r"`(\w+/[\w.]+)`", text)}
    own = {name for name, case in CASES.items() if case.name.startswith(("edges.", "special."))}
    gradients = {name for name in own if CASES[name].name.endswith(".gradient")}
    assert own - named - gradients == {
        "operations/edges.broadcasts",
        "operations/edges.permutations",
    }, "these settle nothing: they are what any backend means"


@pytest.mark.parametrize("text", SENTENCES)
def test_m7_a_settled_sentence_names_cases_that_are_there(text: str) -> None:
    named = re.findall(r"`(\w+/[\w.]+)`", text)
    assert named or text.startswith(NO_CASE)
    assert [name for name in named if name not in CASES] == []
