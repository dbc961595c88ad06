"""Certificates of a run that a test makes up, and what `verify` says to a file of one."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.certificate.certificate import complete, verify
from lmkernel_conformance.certificate.known_failures import KnownFailure
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


def about_run() -> dict[str, Any]:
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


def made_certificate(change: Callable[[dict[str, Any]], None] = lambda _: None) -> dict[str, Any]:
    """The certificate of such a run, after a change to it."""
    about = about_run()
    change(about)
    return complete(about, [KNOWN], MANIFEST)


def row_of(about: dict[str, Any], case: str) -> dict[str, Any]:
    """The first row of a case."""
    return next(row for row in about["cases"] if row["case"] == case)


def change_row(case: str, /, **values: Any) -> Callable[[dict[str, Any]], None]:
    """A change to the first row of a case."""
    return lambda about: row_of(about, case).update(values)


def verify_file(folder: Path, certificate: dict[str, Any]) -> str:
    """What `verify` finds in a file of it, one a line."""
    place = folder / "certificate.json"
    place.write_text(json.dumps(certificate), encoding="utf-8")
    return "\n".join(verify(place, MANIFEST))
