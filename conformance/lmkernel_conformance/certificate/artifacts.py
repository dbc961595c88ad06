"""The files of a certification: the certificate, a page, JUnit XML, a badge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from lmkernel.atomic import new_directory, require_writable, sweep
from lmkernel.checkpoints.json_files import write_object
from lmkernel.errors import InputError
from lmkernel_conformance.certificate.failures import failed_rows, other_reasons
from lmkernel_conformance.certificate.page import page
from lmkernel_conformance.certificate.states import GOOD

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["badge", "junit", "require_place", "write_artifacts"]

_COLOURS = {"certified": "#2e7d4f", "passed in part": "#8a6d1b", "not certified": "#b3382c"}


def write_artifacts(
    certificate: Mapping[str, Any], seconds: Mapping[str, float], out: Path
) -> None:
    """Write all four files; the folder appears whole or not at all, in place of an earlier one.

    Args:
        certificate: the certificate.
        seconds: the duration of each case, by ``case[dtype]``.
        out: the folder; it may hold the files of an earlier certification, and nothing else.
    """
    with new_directory(out, overwrite=_ours(out)) as folder:
        write_object(folder / "certificate.json", certificate)
        (folder / "certificate.html").write_text(page(certificate), encoding="utf-8")
        (folder / "junit.xml").write_text(junit(certificate, seconds), encoding="utf-8")
        (folder / "badge.svg").write_text(badge(certificate), encoding="utf-8")


def require_place(out: Path) -> None:
    """Whether the files can be put there, which is asked before hours of work.

    Raises:
        InputError: the folder holds anything but an earlier certification's files, or cannot be
            written.
    """
    sweep(out.absolute().parent)  # an earlier certification that a kill took away is back first
    if out.exists() and not _ours(out):
        raise InputError(f"{out}: expected no folder, an empty one, or an earlier certification's")
    require_writable(out, InputError)


def _ours(out: Path) -> bool:
    names = {"certificate.json", "certificate.html", "junit.xml", "badge.svg"}
    return out.is_dir() and {file.name for file in out.iterdir()} <= names


def junit(certificate: Mapping[str, Any], seconds: Mapping[str, float]) -> str:
    """The certificate as JUnit XML: a suite per level; excused cases pass, with the reason.

    What belongs to no case that was run, such as a failure with fresh inputs, is a suite of its
    own: a backend that cannot be loaded must not look like one whose cases all pass.
    """
    root = ET.Element("testsuites", name=f"lmkernel {certificate['backend']['name']}")
    levels = dict.fromkeys(row["level"] for row in certificate["cases"])
    for level in levels:
        rows = [row for row in certificate["cases"] if row["level"] == level]
        bad = sum(row["state"] not in GOOD for row in rows)
        suite = ET.SubElement(
            root, "testsuite", name=level, tests=str(len(rows)), failures=str(bad), errors="0"
        )
        for row in rows:
            _junit_case(suite, row, seconds)
    _junit_others(root, certificate)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _junit_case(suite: ET.Element, row: Mapping[str, Any], seconds: Mapping[str, float]) -> None:
    name = f"{row['case']}[{row['dtype']}]"
    time = f"{seconds.get(name, 0.0):.3f}"
    case = ET.SubElement(suite, "testcase", classname=row["level"], name=name, time=time)
    message = _printable(row.get("message", ""))
    if row["state"] not in GOOD:
        ET.SubElement(case, "failure", type=row["state"], message=message)
    elif row["state"] != "passed":
        ET.SubElement(case, "system-out").text = f"{row['state']}: {message}"


def _junit_others(root: ET.Element, certificate: Mapping[str, Any]) -> None:
    """The suite of the reasons that belong to no case that was run; none without such reasons."""
    fresh = [row for row in failed_rows(certificate) if "seed" in row]
    named = [(f"{row['case']}[{row['dtype']}] with fresh inputs", row["why"]) for row in fresh]
    named += [(why.partition(": ")[0], why) for why in other_reasons(certificate)]
    if not named:
        return
    count = str(len(named))
    suite = ET.SubElement(
        root, "testsuite", name="the run", tests=count, failures=count, errors="0"
    )
    for name, why in named:
        about = {"classname": "the run", "name": _printable(name), "time": "0.000"}
        case = ET.SubElement(suite, "testcase", about)
        ET.SubElement(case, "failure", type="failed", message=_printable(why))


def _printable(text: str) -> str:
    """The text without control characters, which XML does not allow."""
    return "".join(c if c.isprintable() else " " for c in text)


def badge(certificate: Mapping[str, Any]) -> str:
    """An SVG badge that names the backend and the verdict."""
    left = f"lmkernel {certificate['backend']['name']}"
    right = f"{certificate['verdict']}: {certificate['profile']}"
    a, b = (7 * len(text) + 14 for text in (left, right))
    colour = _COLOURS[certificate["verdict"]]
    text = ET.Element("title")
    text.text = f"{left}, {right}"
    title = ET.tostring(text, encoding="unicode")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{a + b}" height="20" role="img">{title}'
        f'<rect width="{a}" height="20" fill="#444"/>'
        f'<rect x="{a}" width="{b}" height="20" fill="{colour}"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" '
        f'text-anchor="middle">{_label(left, a / 2, a - 10)}{_label(right, a + b / 2, b - 10)}'
        "</g></svg>\n"
    )


def _label(text: str, x: float, length: int) -> str:
    element = ET.Element("text", x=f"{x:g}", y="14", textLength=str(length))
    element.text = text
    return ET.tostring(element, encoding="unicode")
