"""Groups of failures that have one cause, the telling one first.

One defect fails many cases: whatever is built on the operation. So what the lowest level says comes
first, there an override beside its composition, and what is above is one group of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.levels import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["group_failures"]

Row = Mapping[str, Any]

_PLACE = re.compile(r"^(\w+ at [\w.]+:\d+)")
"""How the message of an exception begins: its class, its file and line."""


def group_failures(rows: Sequence[Row]) -> list[list[Row]]:
    """Failed rows, those of one cause together; the first of each group tells most.

    Args:
        rows: rows of a certificate, each with ``case``, ``dtype`` and perhaps ``message``.
    """
    ordered = sorted(rows, key=_rank)
    lowest = ordered[0]["case"].partition("/")[0] if ordered else ""
    groups: dict[str, list[Row]] = {}
    for row in ordered:
        groups.setdefault(_cause(row, lowest), []).append(row)
    return list(groups.values())


def _rank(row: Row) -> tuple[int, bool, bool]:
    """Lower levels first; there an override beside its composition, and eager calls first."""
    level, _, name = row["case"].partition("/")
    place = LEVELS.index(level) if level in LEVELS else len(LEVELS)
    return place, not name.startswith("overrides."), name.startswith("compiled.")


def _cause(row: Row, lowest: str) -> str:
    """What a row's cause is called: the line that raised, the operation, or what it builds on."""
    raised = _PLACE.match(row.get("message", ""))
    level, _, name = row["case"].partition("/")
    if raised:
        return raised[1]
    return name.partition(".")[0] if level == lowest else "what is built on them"
