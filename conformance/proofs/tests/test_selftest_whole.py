"""The self-test as a whole, on a suite of two cases: progress, JSON, text, page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lmkernel_proofs.mechanical.sites import changes
from lmkernel_proofs.selftest import (
    Report,
    baseline,
    bases,
    kill_matrix,
    save,
    self_test,
    session,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MUTANTS = ("swiglu.swapped", "silu.sharper")


@pytest.fixture(scope="module")
def progress() -> list[str]:
    return []


@pytest.fixture(scope="module")
def report(progress: list[str]) -> Iterator[Report]:
    cases = ("operations/silu", "operations/swiglu")
    few = [run for run in bases.runs() if run.case in cases]
    some = [c for c in changes() if c.id.startswith("composed/activation.py:s")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baseline, "runs", lambda: few)
        patch.setattr(session, "changes", lambda: some)
        written = tuple(m for m in session.MUTANTS if m.id in _MUTANTS)
        patch.setattr(session, "MUTANTS", written)
        for part in ("handwritten", "acceptance"):
            patch.setattr(f"lmkernel_proofs.selftest.{part}.CASES", _only(cases))
        yield self_test(jobs=2, notify=progress.append)


def _only(names: tuple[str, ...]) -> dict[str, object]:
    from lmkernel_conformance.cases import CASES

    return {name: CASES[name] for name in names}


def test_it_tells_how_far_it_is(report: Report, progress: list[str]) -> None:
    assert report.mechanical
    assert "handwritten 2 of 2" in " ".join(progress)
    assert f"mechanical {len(report.mechanical)} of {len(report.mechanical)}" in " ".join(progress)


def test_a_suite_of_two_cases_is_not_strong_enough(report: Report) -> None:
    assert not report.is_strong
    assert any("expected 300 mechanical mutants killed" in line for line in report.problems)
    assert any("softmax" in line and "is unreached" in line for line in report.problems)


def test_what_two_cases_can_kill_they_kill(report: Report) -> None:
    assert [judgement.verdict.state for judgement in report.handwritten] == ["killed", "killed"]
    own = {change.function: verdict for change, verdict in report.mechanical}
    assert own["silu"].state == "killed"


def test_the_report_is_json_and_holds_every_mutant(report: Report) -> None:
    entries = json.loads(json.dumps(report.as_dict))
    assert [entry["id"] for entry in entries["handwritten"]] == list(_MUTANTS)
    assert len(entries["mechanical"]) == len(report.mechanical)
    assert entries["passed"] is False


def test_the_summary_counts(report: Report) -> None:
    assert "handwritten: 2 mutants, 2 killed" in report.text
    assert "the suite is not as strong as it says" in report.text


def test_the_page_has_every_part(report: Report) -> None:
    page = kill_matrix(report)
    for title in ("Summary", "Defects of the catalogue", "Handwritten mutants"):
        assert f"## {title}\n" in page
    assert "| `silu.sharper` |" in page
    assert f"| `composed/activation.py` | {len(report.mechanical)} |" in page


def test_the_name_of_a_file_says_what_is_saved(report: Report, tmp_path: Path) -> None:
    save(report, tmp_path / "page.md")
    save(report, tmp_path / "report.json")
    assert (tmp_path / "page.md").read_text(encoding="utf-8").startswith("# Kill matrix\n")
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["format"] == 1
