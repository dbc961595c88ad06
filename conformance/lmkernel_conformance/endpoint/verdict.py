"""The verdict on a server's certificate, a function of its content and the manifest alone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from lmkernel.checkpoints.json_files import read_object
from lmkernel.errors import CheckpointError
from lmkernel_conformance.canonical import HASH, fingerprint
from lmkernel_conformance.endpoint.case import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["CERTIFIED", "FORMAT", "WHOLE", "counts", "reasons", "verdict", "verify_endpoint"]

CERTIFIED, IN_PART, NOT_CERTIFIED = "certified", "passed in part", "not certified"
WHOLE = "whole"
FORMAT = 1
_STATES = ("passed", "unsupported", "failed")
_MEMBERS: Mapping[str, type] = {
    "format": int,
    "manifest": str,
    "selection": str,
    "endpoint": dict,
    "cases": list,
    "verdict": str,
    "reasons": list,
    HASH: str,
}


def verdict(certificate: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    """`CERTIFIED`, `IN_PART` (only a part was run, and nothing failed), or `NOT_CERTIFIED`."""
    if reasons(certificate, manifest):
        return NOT_CERTIFIED
    return CERTIFIED if certificate["selection"] == WHOLE else IN_PART


def reasons(certificate: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    """Why it is not certified, a line each; what it says of its own verdict is not read."""
    return list(_reasons(certificate, manifest))


def _reasons(certificate: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[str]:
    if certificate["manifest"] != manifest[HASH]:
        yield f"expected the manifest {manifest[HASH][:12]}, got {certificate['manifest'][:12]}"
        return
    there = Counter(row["case"] for row in certificate["cases"])
    if not there:
        yield "no case was run"
    for key, about in manifest["cases"].items():
        if certificate["selection"] == WHOLE and key not in there:
            yield f"{key}: did not run"
        for row in certificate["cases"]:
            if row["case"] == key:
                yield from _fault(row, optional=about["optional"])
    yield from (f"{key}: is there {count} times" for key, count in there.items() if count > 1)
    strange = [key for key in there if key not in manifest["cases"]]
    yield from (f"{key}: the manifest has no such case" for key in strange)


def _fault(row: Mapping[str, Any], *, optional: bool) -> Iterator[str]:
    state = row["state"]
    if state == "passed" or (state == "unsupported" and optional):
        return
    yield f"{row['case']}: {row.get('message', state)}"


def counts(certificate: Mapping[str, Any]) -> dict[str, tuple[int, int, int]]:
    """Of each category how many cases passed, are unsupported, and failed."""
    found = {}
    for name in CATEGORIES:
        states = Counter(row["state"] for row in certificate["cases"] if row["category"] == name)
        if states:
            found[name] = (states["passed"], states["unsupported"], states["failed"])
    return found


def verify_endpoint(path: Path, manifest: Mapping[str, Any]) -> list[str]:
    """What is wrong with a certificate, a line each; empty if it certifies and rightly so.

    Raises:
        CheckpointError: the file cannot be read, or is no certificate of a server.
    """
    certificate = read_object(path, required=True)
    for name, kind in _MEMBERS.items():
        if not isinstance(certificate.get(name), kind):
            raise CheckpointError(
                f"{path}: expected a certificate of a server, {name} is not one's"
            )
    for row in certificate["cases"]:
        ok = isinstance(row, dict) and {"case", "category", "state"} <= set(row)
        if not ok or row["state"] not in _STATES:
            raise CheckpointError(f"{path}: cases: expected case, category, state, got {row!r:.80}")
    found = []
    if certificate["format"] != FORMAT:
        found.append(f"expected the format {FORMAT}, got {certificate['format']}")
    if certificate[HASH] != fingerprint(certificate):
        found.append("it was edited: the content does not fit its hash")
    now, why = verdict(certificate, manifest), reasons(certificate, manifest)
    if certificate["verdict"] != now:
        found.append(f"it says {certificate['verdict']!r}, its content says {now!r}")
    if now != CERTIFIED:
        found += why or [f"{now}: only a part was run ({certificate['selection']})"]
    return found
