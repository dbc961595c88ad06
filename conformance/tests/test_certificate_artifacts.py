"""What is written of a certificate: its page, its badge, its rows for JUnit, and where to."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from faults import Fault, Writer, check_writer
from made_certificates import MANIFEST, about_run, change_row, made_certificate

from lmkernel.errors import InputError
from lmkernel_conformance.certificate.artifacts import badge, junit, require_place, write_artifacts
from lmkernel_conformance.certificate.certificate import verify
from lmkernel_conformance.certificate.page import page

if TYPE_CHECKING:
    from pathlib import Path


def test_artifacts(tmp_path: Path) -> None:
    out = tmp_path / "own"
    for _ in range(2):
        require_place(out)
        write_artifacts(made_certificate(), {}, out)
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
        made_certificate(change_row("operations/erf", state="failed", message=reason, share=None))
    )
    assert reason not in text
    assert "&lt;script&gt;alert(1)" in text
    assert not re.search(r"(src|href)=|url\(|@import|<script|<link", text)
    assert "python -m lmkernel_conformance.reproduce operations/erf --backend own" in text
    assert "not certified" in text


def test_the_page_is_well_formed() -> None:
    text = (
        page(made_certificate())
        .replace("<!doctype html>", "")
        .replace('<meta charset="utf-8">', "")
    )
    body = ET.fromstring(re.sub(r"<meta [^>]*>", "", text))  # noqa: S314 - it is our own
    circles = [e for e in body.iter() if e.tag == "circle"]
    assert len(circles) == len(about_run()["cases"])


def test_junit_counts_failures() -> None:
    certificate = made_certificate(
        change_row("operations/erf", state="hung", message="no result\x00")
    )
    root = ET.fromstring(junit(certificate, {"operations/erf[float32]": 1.5}))  # noqa: S314 - it is our own
    assert sum(int(suite.get("failures", "")) for suite in root) == 1
    [failure] = root.iter("failure")
    assert failure.attrib == {"type": "hung", "message": "no result "}
    assert sum(1 for _ in root.iter("testcase")) == len(certificate["cases"])


def test_junit_counts_failures_with_fresh_inputs() -> None:
    failure = "operations/erf[float32]: expected 1, got 2"
    certificate = made_certificate(lambda a: a["fresh"].update(failures=[failure]))
    *levels, run = ET.fromstring(junit(certificate, {}))  # noqa: S314 - it is our own
    assert {suite.get("failures") for suite in levels} == {"0"}
    assert (run.get("name"), run.get("failures")) == ("the run", "1")
    [case] = run
    assert case.get("name") == "operations/erf[float32] with fresh inputs"
    assert case[0].get("message") == f"with the fresh seed 7: {failure}"


def test_the_badge_says_backend_and_verdict() -> None:
    text = "".join(ET.fromstring(badge(made_certificate())).itertext())  # noqa: S314 - it is our own
    assert "lmkernel own" in text
    assert "certified: inference" in text


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
    rows = made_certificate()["cases"][:2]

    def write(folder: Path, version: int) -> None:
        about = {**made_certificate(), "cases": rows, "next": str(version)}
        require_place(folder / "out")
        write_artifacts(about, {}, folder / "out")

    def read(folder: Path) -> int:
        content = json.loads((folder / "out" / "certificate.json").read_text())
        assert len(list((folder / "out").iterdir())) == 4
        return int(content["next"])

    assert check_writer(Writer(write, read), tmp_path, fault, 12) > 8
