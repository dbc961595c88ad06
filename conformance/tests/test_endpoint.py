"""The certificate of a server: its manifest, its verdict, and what verifying finds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lmkernel.cli.main import main
from lmkernel.errors import CheckpointError
from lmkernel_conformance.canonical import HASH, with_hash
from lmkernel_conformance.endpoint.artifacts import page
from lmkernel_conformance.endpoint.case import CATEGORIES
from lmkernel_conformance.endpoint.cases import CASES
from lmkernel_conformance.endpoint.manifest import generate, read_endpoint_manifest
from lmkernel_conformance.endpoint.verdict import reasons, verdict, verify_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MANIFEST = read_endpoint_manifest()


def certificate(selection: str = "whole", **states: str) -> dict[str, Any]:
    """One whose cases passed, but for some."""
    rows = [
        {"case": case.key, "category": case.category, "state": states.get(case.name, "passed")}
        for case in CASES
    ]
    about = {"url": "http://x/v1", "model": "<m>", "embed_model": "m", "software": "unknown"}
    about |= {"speech_model": None}
    content: dict[str, Any] = {
        "format": 1,
        "suite": "0",
        "issued": "2026-11-29",
        "manifest": MANIFEST[HASH],
        "selection": selection,
        "endpoint": about,
        "cases": rows,
    }
    content |= {"reasons": reasons(content, MANIFEST), "verdict": verdict(content, MANIFEST)}
    return with_hash(content)


def test_the_manifest_is_that_of_the_cases() -> None:
    assert generate() == MANIFEST, "run: python -m lmkernel_conformance.endpoint.manifest"
    keys = [case.key for case in CASES]
    assert len(set(keys)) == len(keys)
    assert {case.category for case in CASES} == set(CATEGORIES)
    assert all(case.sentence.endswith(".") for case in CASES)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({}, "certified"),
        ({"a_call_can_be_required": "unsupported"}, "certified"),
        ({"a_call_can_be_required": "failed"}, "not certified"),
        ({"a_chat_is_answered": "unsupported"}, "not certified"),
        ({"several_choices_are_numbered": "unsupported"}, "certified"),
    ],
)
def test_the_verdict_follows_from_the_states(states: dict[str, str], expected: str) -> None:
    found = certificate(**states)
    assert found["verdict"] == expected
    assert "&lt;m&gt;" in page(found)
    assert expected in page(found)


def drop(content: dict[str, Any]) -> None:
    content["cases"].pop()


def repeat(content: dict[str, Any]) -> None:
    content["cases"].append(content["cases"][0])


def invent(content: dict[str, Any]) -> None:
    content["cases"].append({"case": "tools/x", "category": "tools", "state": "passed"})


def excuse(content: dict[str, Any]) -> None:
    content["cases"][0]["state"] = "unsupported"


def change(content: dict[str, Any]) -> None:
    content["manifest"] = "0" * 64


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (drop, "did not run"),
        (repeat, "is there 2 times"),
        (invent, "the manifest has no such case"),
        (excuse, "required/models_are_listed"),
        (change, "expected the manifest"),
    ],
)
def test_what_was_edited_is_found(
    tmp_path: Path, edit: Callable[[dict[str, Any]], None], message: str
) -> None:
    content, file = certificate(), tmp_path / "certificate.json"
    file.write_text(json.dumps(content))
    assert verify_endpoint(file, MANIFEST) == []
    edit(content)
    file.write_text(json.dumps(content))
    found = verify_endpoint(file, MANIFEST)
    assert any("it was edited" in line for line in found)
    assert any("its content says 'not certified'" in line for line in found)
    file.write_text(json.dumps(with_hash(content)))
    assert any(message in line for line in verify_endpoint(file, MANIFEST))
    assert main(["certify", "--verify", str(file)]) == 1


def test_what_is_no_certificate_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "certificate.json"
    for content in ({"endpoint": 3}, {**certificate(), "cases": [{"case": "x"}]}):
        file.write_text(json.dumps(content))
        with pytest.raises(CheckpointError, match="expected"):
            verify_endpoint(file, MANIFEST)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--endpoint", "x"], "expected http://HOST:PORT/v1"),
        (["--endpoint", "http://127.0.0.1:9/v1"], "expected a server that lists models"),
        (["--endpoint", "http://x/v1", "--category", "manners"], "unknown category 'manners'"),
        (
            ["--endpoint", "http://x/v1", "--flood", "0"],
            "--flood: expected a whole number",
        ),
        (["--endpoint", "http://x/v1", "--limit", "nan"], "--limit: expected a number above 0"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["certify", *arguments]) == 1
    assert message in " ".join(capsys.readouterr().err.split())
