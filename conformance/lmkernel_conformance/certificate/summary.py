"""The summary of a certificate for a terminal: levels, the first reasons, the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.results import Paint, columns, plain
from lmkernel_conformance.budget import CLASSES
from lmkernel_conformance.certificate.causes import group_failures
from lmkernel_conformance.certificate.failures import (
    failed_rows,
    hints,
    other_reasons,
    reproducing,
)
from lmkernel_conformance.certificate.states import GOOD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["level_rows", "summary", "worst_shares"]

_COLOURS = {"certified": "green", "passed in part": "yellow", "not certified": "red"}
_MOST_REASONS = 20
"""How many causes are printed; ``--json`` and ``--out`` give all reasons."""
_MOST_NAMES = 6


def level_rows(certificate: Mapping[str, Any]) -> list[list[str]]:
    """A header, and a row for each level: counts, and the largest share of each class."""
    shares = [f"SHARE: {CLASSES[0].upper()}", *(name.upper() for name in CLASSES[1:])]
    return [["LEVEL", "PASSED", "EXCUSED", "FAILED", *shares], *_counts(certificate["cases"])]


def summary(certificate: Mapping[str, Any], paint: Paint = plain) -> str:
    """The lines that the command prints for a certificate."""
    table = [columns(level_rows(certificate))] if certificate["cases"] else []
    lines = [*table, *_failures(certificate)]
    lines += [certificate["next"]] if certificate["next"] else []
    verdict, backend = certificate["verdict"], certificate["backend"]["name"]
    count = len(certificate["reasons"])
    words = {
        "certified": f"{backend} is certified for the profile {certificate['profile']}",
        "passed in part": f"{backend} passes ({certificate['selection']}; no certificate) the "
        f"profile {certificate['profile']}",
        "not certified": f"{backend} is not certified for the profile {certificate['profile']}: "
        f"{count} {'reason' if count == 1 else 'reasons'}",
    }
    return "\n".join([*lines, paint(words[verdict], _COLOURS[verdict])])


def _counts(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    found = []
    for level in dict.fromkeys(row["level"] for row in rows):
        own = [row for row in rows if row["level"] == level]
        passed = [row for row in own if row["state"] == "passed"]
        excused = [row for row in own if row["state"] in GOOD and row not in passed]
        shares = worst_shares(passed)
        counts = (len(passed), len(excused), len(own) - len(passed) - len(excused))
        found.append([level, *map(str, counts), *(f"{x:.2f}" if x else "–" for x in shares)])
    return found


def worst_shares(rows: Iterable[Mapping[str, Any]]) -> list[float]:
    """The largest share of each class of elements among several rows; 0 where there is none."""
    every = [row["shares"] for row in rows]
    return [max((shares.get(name, 0.0) for shares in every), default=0.0) for name in CLASSES]


def _failures(certificate: Mapping[str, Any]) -> list[str]:
    """The first reasons, those of one cause together, with likely defects and what repeats them."""
    others, groups = other_reasons(certificate), group_failures(failed_rows(certificate))
    lines = others[:_MOST_REASONS]
    for group in groups[:_MOST_REASONS]:
        first, *built = group
        lines.append(first["why"])
        lines += [f"    likely: {hint}" for hint in hints(first, group)]
        lines.append(f"    {reproducing(certificate['backend']['name'], first)}")
        if built:
            lines.append(f"    and {len(built)} more, perhaps of this cause: {_names(built)}")
    more = len(others[_MOST_REASONS:]) + sum(map(len, groups[_MOST_REASONS:]))
    if more > 0:
        lines.append(f"and {more} more; --json prints them, --out writes a page")
    return lines


def _names(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(row["case"] for row in rows))
    return ", ".join(names[:_MOST_NAMES]) + ", …" * (len(names) > _MOST_NAMES)
