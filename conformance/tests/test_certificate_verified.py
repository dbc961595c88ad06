"""A certificate that was edited, or is of other types: every contradiction is reported."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from made_certificates import BACKEND, change_row, made_certificate, verify_file

from lmkernel.errors import CheckpointError
from lmkernel_conformance.canonical import with_hash

if TYPE_CHECKING:
    from pathlib import Path


def test_verify_finds_nothing_in_what_is_whole(tmp_path: Path) -> None:
    assert verify_file(tmp_path, made_certificate()) == ""


def test_verify_finds_what_was_edited(tmp_path: Path) -> None:
    certificate = made_certificate()
    certificate["backend"]["device"] = "cuda"
    assert verify_file(tmp_path, certificate) == "it was edited: the content does not fit its hash"


def test_verify_finds_another_verdict_under_a_new_hash(tmp_path: Path) -> None:
    certificate = made_certificate(change_row("operations/erf", state="failed", message="wrong"))
    reason = verify_file(
        tmp_path, with_hash({**certificate, "verdict": "certified", "reasons": []})
    )
    assert "it says 'certified', its content says 'not certified'" in reason
    assert "operations/erf[float32]: failed: wrong" in reason


def test_verify_finds_a_looser_budget(tmp_path: Path) -> None:
    looser = {**made_certificate()["budget"], "factor": 400.0}
    assert "budgets are not the suite's" in verify_file(
        tmp_path, with_hash({**made_certificate(), "budget": looser})
    )


def test_verify_says_that_the_manifest_is_another(tmp_path: Path) -> None:
    other = with_hash({**made_certificate(), "manifest": "f" * 64})
    assert "expected the manifest" in verify_file(tmp_path, other)


def test_verify_refuses_what_is_no_certificate(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected a certificate, format, suite"):
        verify_file(tmp_path, {})
    with pytest.raises(CheckpointError, match="expected a certificate of format 2, got 1"):
        verify_file(tmp_path, {**made_certificate(), "format": 1})
    with pytest.raises(CheckpointError, match="cases, entry 0: case: expected it, got nothing"):
        verify_file(tmp_path, {**made_certificate(), "cases": [{}]})


@pytest.mark.parametrize(
    ("member", "value", "says"),
    [
        ("cases", [3], "cases, entry 0: expected a table, got 3"),
        ("cases", [{"case": ["a"]}], r"entry 0: case: expected a text, got \['a'\]"),
        ("backend", {}, "backend: name: expected it, got nothing"),
        ("backend", {**BACKEND, "dtypes": "float32"}, "dtypes: expected a list, got 'float32'"),
        ("backend", {**BACKEND, "dtypes": [[]]}, r"dtypes, entry 0: expected a text, got \[\]"),
        ("backend", {**BACKEND, "unsupported": {"gelu": 1}}, "gelu: expected a text, got 1"),
        ("fresh", {"seed": True, "cases": 1, "failures": []}, "seed: expected a whole number"),
        ("fresh", {"seed": 1, "cases": 1, "failures": 1}, "failures: expected a list, got 1"),
        ("known_failures", [{}], "known_failures, entry 0: case: expected it, got nothing"),
        ("known_failures", ["a"], "known_failures, entry 0: expected a table, got 'a'"),
        ("problems", [1], "problems, entry 0: expected a text, got 1"),
        ("profile", "all", "profile: expected one of inference, training, full, got 'all'"),
        ("verdict", float("nan"), "verdict: expected a text, got nan"),
        ("budget", {"factor": float("nan")}, "expected what JSON can hold"),
        ("format", True, "format: expected a whole number, got True"),
    ],
)
def test_low_certificate_of_wrong_types(tmp_path: Path, member: str, value: Any, says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        verify_file(tmp_path, {**made_certificate(), member: value})


@pytest.mark.parametrize(("name", "value"), [("operation", ["erf"]), ("message", 3)])
def test_low_row_of_wrong_types(tmp_path: Path, name: str, value: Any) -> None:
    certificate = copy.deepcopy(made_certificate())
    certificate["cases"][0][name] = value
    with pytest.raises(CheckpointError, match=f"cases, entry 0: {name}: expected a text, got"):
        verify_file(tmp_path, certificate)
