"""The certificate: its verdict follows from its content, and every contradiction is reported."""

from __future__ import annotations

import copy
import json
import os
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from faults import Fault, Writer, check_writer

from lmkernel.errors import CheckpointError, InputError
from lmkernel_conformance.canonical import with_hash
from lmkernel_conformance.certificate.artifacts import badge, junit, require_place, write_artifacts
from lmkernel_conformance.certificate.certificate import complete, verify
from lmkernel_conformance.certificate.known_failures import KnownFailure
from lmkernel_conformance.certificate.page import page
from lmkernel_conformance.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MANIFEST = read_manifest()
BACKEND = {
    "name": "own",
    "description": "",
    "contract": "1.0",
    "device": "cpu",
    "default_device": "cpu",
    "dtypes": ["float32", "float64"],
    "unsupported": {"gelu": "no erf"},
    "bitwise": ["runs"],
    "distributes": False,
    "requires": ["numpy"],
    "distributions": {"numpy": "2.0"},
}
KNOWN = KnownFailure(
    case="operations/softmax",
    exception="Discrepancy",
    reason="<b>it</b> overflows",
    link="https://example.org/1",
    expires="2030-06-30",
)


def _about() -> dict[str, Any]:
    """A run of the profile inference in which every case passed."""
    rows = [
        {
            "case": key.case,
            "level": key.case.partition("/")[0],
            "dtype": key.dtype,
            "state": "passed",
            "share": 0.25,
            "shares": {"large": 0.25, "sensitive": 0.125},
            "ulps": 1.0,
        }
        for key in MANIFEST.required_keys("inference", ["float32", "float64"])
    ]
    fresh = {"seed": 7, "cases": 60, "failures": []}
    return {
        "profile": "inference",
        "selection": "whole",
        "precision": "the framework's default settings",
        "issued": "2030-01-31",
        "backend": copy.deepcopy(BACKEND),
        "cases": rows,
        "fresh": fresh,
        "next": "",
        "problems": [],
    }


def _certificate(change: Callable[[dict[str, Any]], None] = lambda _: None) -> dict[str, Any]:
    about = _about()
    change(about)
    return complete(about, [KNOWN], MANIFEST)


def _row(about: dict[str, Any], case: str) -> dict[str, Any]:
    return next(row for row in about["cases"] if row["case"] == case)


def _change_row(case: str, /, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda about: _row(about, case).update(values)


def test_the_same_run_has_the_same_certificate() -> None:
    assert _certificate() == _certificate()
    assert _certificate()["verdict"] == "certified"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda a: a["cases"].pop(0), "document/.*: did not run"),
        (lambda a: a["cases"].append(a["cases"][0]), "is there 2 times"),
        (
            _change_row("operations/softmax", case="operations/softmux"),
            "the manifest has no such case",
        ),
        (
            _change_row("operations/softmax", case="operations/softmux"),
            "operations/softmax.*did not run",
        ),
        (_change_row("operations/erf", share=1.5), "share of the budget between 0 and 1, got 1.5"),
        (
            _change_row("operations/erf", share=None),
            "share of the budget between 0 and 1, got None",
        ),
        (
            _change_row("operations/erf", shares={"large": 0.25, "zero": 7.0}),
            "share of the budget of zero elements between 0 and 1, got 7.0",
        ),
        (
            _change_row("operations/erf", shares={"large": 0.75}),
            "expected the largest share of any class, 0.75, got 0.25",
        ),
        (
            _change_row("operations/erf", shares={"middling": 0.25}),
            "expected classes of elements among large, small, sensitive, zero, got middling",
        ),
        (_change_row("operations/erf", state="skipped"), "skipped: without a message"),
        (_change_row("operations/erf", state="failed", message="wrong"), "failed: wrong"),
        (
            _change_row("operations/erf", state="unsupported", operation="erf"),
            "erf is not declared",
        ),
        (_change_row("operations/erf", state="known failure"), "no entry matches it"),
        (_change_row("operations/erf", state="not offered"), "not offered: expected of level"),
        (
            lambda a: (
                a["backend"].update(distributes=True),
                _row(a, "distribution/places").update(state="not offered"),
            ),
            "not offered: expected of level distribution, on a backend without that tier",
        ),
        (lambda a: a.update(cases=[]), "no case was run"),
        (
            lambda a: a["backend"].update(dtypes=["float32"]),
            "float64: mandatory on cpu, not declared",
        ),
        (lambda a: a["fresh"].update(failures=["operations/erf: 0"]), "fresh seed 7: operations"),
        (lambda a: a["fresh"].update(cases=0), "no case was run with fresh inputs"),
        (lambda a: a.update(manifest="0" * 64), "expected the manifest .*, got 000000000000"),
        (lambda a: a.update(problems=["matches nothing"]), "matches nothing"),
    ],
)
def test_what_is_not_certified(change: Callable[[dict[str, Any]], None], reason: str) -> None:
    certificate = _certificate(change)
    assert certificate["verdict"] == "not certified"
    assert any(re.search(reason, why) for why in certificate["reasons"])


def test_a_known_failure_expires() -> None:
    failing = _change_row("operations/softmax", state="known failure", message="wrong")
    assert _certificate(failing)["verdict"] == "certified"

    def later(about: dict[str, Any]) -> None:
        failing(about)
        about["issued"] = "2030-07-01"

    assert _certificate(later)["verdict"] == "not certified"


def test_several_processes_are_asked_of_backends_that_offer_them_alone() -> None:
    assert _certificate(_change_row("distribution/places", state="not offered"))["reasons"] == []


def test_a_part_of_the_suite_is_no_certificate() -> None:
    def part(about: dict[str, Any]) -> None:
        about.update(selection="smoke", cases=about["cases"][:5])

    assert _certificate(part)["verdict"] == "passed in part"


def _verify_file(folder: Path, certificate: dict[str, Any]) -> str:
    place = folder / "certificate.json"
    place.write_text(json.dumps(certificate), encoding="utf-8")
    return "\n".join(verify(place, MANIFEST))


def test_verify_finds_nothing_in_what_is_whole(tmp_path: Path) -> None:
    assert _verify_file(tmp_path, _certificate()) == ""


def test_verify_finds_what_was_edited(tmp_path: Path) -> None:
    certificate = _certificate()
    certificate["backend"]["device"] = "cuda"
    assert _verify_file(tmp_path, certificate) == "it was edited: the content does not fit its hash"


def test_verify_finds_another_verdict_under_a_new_hash(tmp_path: Path) -> None:
    certificate = _certificate(_change_row("operations/erf", state="failed", message="wrong"))
    reason = _verify_file(
        tmp_path, with_hash({**certificate, "verdict": "certified", "reasons": []})
    )
    assert "it says 'certified', its content says 'not certified'" in reason
    assert "operations/erf[float32]: failed: wrong" in reason


def test_verify_finds_a_looser_budget(tmp_path: Path) -> None:
    looser = {**_certificate()["budget"], "factor": 400.0}
    assert "budgets are not the suite's" in _verify_file(
        tmp_path, with_hash({**_certificate(), "budget": looser})
    )


def test_verify_says_that_the_manifest_is_another(tmp_path: Path) -> None:
    other = with_hash({**_certificate(), "manifest": "f" * 64})
    assert "expected the manifest" in _verify_file(tmp_path, other)


def test_verify_refuses_what_is_no_certificate(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected a certificate, format, suite"):
        _verify_file(tmp_path, {})
    with pytest.raises(CheckpointError, match="expected a certificate of format 2, got 1"):
        _verify_file(tmp_path, {**_certificate(), "format": 1})
    with pytest.raises(CheckpointError, match="cases, entry 0: case: expected it, got nothing"):
        _verify_file(tmp_path, {**_certificate(), "cases": [{}]})


def test_artifacts(tmp_path: Path) -> None:
    out = tmp_path / "own"
    for _ in range(2):
        require_place(out)
        write_artifacts(_certificate(), {}, out)
    names = ["badge.svg", "certificate.html", "certificate.json", "junit.xml"]
    assert sorted(file.name for file in out.iterdir()) == names
    assert verify(out / "certificate.json", MANIFEST) == []


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="an earlier certification's"):
        require_place(tmp_path)


def test_the_page_needs_nothing_from_outside() -> None:
    reason = "<script>alert(1)</script>"
    text = page(
        _certificate(_change_row("operations/erf", state="failed", message=reason, share=None))
    )
    assert reason not in text
    assert "&lt;script&gt;alert(1)" in text
    assert not re.search(r"(src|href)=|url\(|@import|<script|<link", text)
    assert "python -m lmkernel_conformance.reproduce operations/erf --backend own" in text
    assert "not certified" in text


def test_the_page_is_well_formed() -> None:
    text = page(_certificate()).replace("<!doctype html>", "").replace('<meta charset="utf-8">', "")
    body = ET.fromstring(re.sub(r"<meta [^>]*>", "", text))  # noqa: S314 - it is our own
    circles = [e for e in body.iter() if e.tag == "circle"]
    assert len(circles) == len(_about()["cases"])


def test_junit_counts_failures() -> None:
    certificate = _certificate(_change_row("operations/erf", state="hung", message="no result\x00"))
    root = ET.fromstring(junit(certificate, {"operations/erf[float32]": 1.5}))  # noqa: S314 - it is our own
    assert sum(int(suite.get("failures", "")) for suite in root) == 1
    [failure] = root.iter("failure")
    assert failure.attrib == {"type": "hung", "message": "no result "}
    assert sum(1 for _ in root.iter("testcase")) == len(certificate["cases"])


def test_junit_counts_failures_with_fresh_inputs() -> None:
    failure = "operations/erf[float32]: expected 1, got 2"
    certificate = _certificate(lambda a: a["fresh"].update(failures=[failure]))
    *levels, run = ET.fromstring(junit(certificate, {}))  # noqa: S314 - it is our own
    assert {suite.get("failures") for suite in levels} == {"0"}
    assert (run.get("name"), run.get("failures")) == ("the run", "1")
    [case] = run
    assert case.get("name") == "operations/erf[float32] with fresh inputs"
    assert case[0].get("message") == f"with the fresh seed 7: {failure}"


def test_that_nothing_was_run_is_no_reason_beside_the_problem_that_it_follows_from() -> None:
    def change(about: dict[str, Any]) -> None:
        about.update(cases=[], problems=["it cannot be loaded"])
        about["fresh"].update(cases=0)

    certificate = _certificate(change)
    assert certificate["reasons"] == ["it cannot be loaded"]
    assert certificate["verdict"] == "not certified"


def test_the_badge_says_backend_and_verdict() -> None:
    text = "".join(ET.fromstring(badge(_certificate())).itertext())  # noqa: S314 - it is our own
    assert "lmkernel own" in text
    assert "certified: inference" in text


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
        _verify_file(tmp_path, {**_certificate(), member: value})


@pytest.mark.parametrize(("name", "value"), [("operation", ["erf"]), ("message", 3)])
def test_low_row_of_wrong_types(tmp_path: Path, name: str, value: Any) -> None:
    certificate = copy.deepcopy(_certificate())
    certificate["cases"][0][name] = value
    with pytest.raises(CheckpointError, match=f"cases, entry 0: {name}: expected a text, got"):
        _verify_file(tmp_path, certificate)


def test_place_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/out: cannot be written: Not a directory"):
        require_place(tmp_path / "file" / "out")
    require_place(tmp_path / "a" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("fault", ["kill", "full disk"])
def test_m3_earlier_certificate_is_whole_or_the_later_one(
    tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    rows = _certificate()["cases"][:2]

    def write(folder: Path, version: int) -> None:
        about = {**_certificate(), "cases": rows, "next": str(version)}
        require_place(folder / "out")
        write_artifacts(about, {}, folder / "out")

    def read(folder: Path) -> int:
        content = json.loads((folder / "out" / "certificate.json").read_text())
        assert len(list((folder / "out").iterdir())) == 4
        return int(content["next"])

    assert check_writer(Writer(write, read), tmp_path, fault, 12) > 8
