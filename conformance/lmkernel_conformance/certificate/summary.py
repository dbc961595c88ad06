"""A certificate as lines for a terminal: levels, the first reasons, the verdict."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lmkernel.cli.style import columns, paint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["summary"]

_COLOURS = {"certified": "green", "passed in part": "yellow", "not certified": "red"}
_MOST_REASONS = 20
"""Printed; whoever needs more takes ``--json`` or ``--out``."""


def summary(document: Mapping[str, Any]) -> str:
    """What is printed of a certificate."""
    rows = document["cases"]
    head = ["LEVEL", "PASSED", "EXCUSED", "FAILED", "LARGEST SHARE OF A BUDGET"]
    lines = [columns([head, *_counts(rows)]), *_failures(document)]
    lines += [document["next"]] if document["next"] else []
    verdict, backend = document["verdict"], document["backend"]["name"]
    words = {
        "certified": f"{backend} is certified for the profile {document['profile']}",
        "passed in part": f"{backend} passes ({document['selection']}; no certificate) the profile "
        f"{document['profile']}",
        "not certified": f"{backend} is not certified for the profile {document['profile']}: "
        f"{len(document['reasons'])} reasons",
    }
    return "\n".join([*lines, paint(words[verdict], _COLOURS[verdict], sys.stdout)])


def _counts(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    found = []
    for level in dict.fromkeys(row["level"] for row in rows):
        own = [row for row in rows if row["level"] == level]
        passed = [row for row in own if row["state"] == "passed"]
        excused = [row for row in own if row["state"] in ("unsupported", "known failure")]
        share = max((row["share"] for row in passed), default=0.0)
        counts = (len(passed), len(excused), len(own) - len(passed) - len(excused))
        found.append([level, *map(str, counts), f"{share:.2f}"])
    return found


def _failures(document: Mapping[str, Any]) -> list[str]:
    """The first reasons; one of a case with its likely defect and the command that repeats it."""
    from lmkernel_conformance.catalogue import likely
    from lmkernel_conformance.certificate.page import reproducing
    from lmkernel_conformance.manifest import read_manifest

    cases = read_manifest().cases
    rows = {f"{row['case']}[{row['dtype']}]": row for row in document["cases"]}
    lines = []
    for why in document["reasons"][:_MOST_REASONS]:
        lines.append(why)
        row = rows.get(why.partition(": ")[0])
        if row is not None:
            lines += [f"    likely: {hint}" for hint in likely(cases[row["case"]]["rows"])]
            lines.append(f"    {reproducing(document['backend']['name'], row)}")
    more = len(document["reasons"]) - _MOST_REASONS
    if more > 0:
        lines.append(f"and {more} more; --json prints them, --out writes a page")
    return lines
