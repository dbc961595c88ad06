"""Groups of failures that have one cause, the telling one first.

One defect fails many cases: whatever is built on the operation. So what the lowest level says comes
first, and what is above is one group of its own. An override beside its composition tells more than
any: what is below the operations is built on it as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmkernel.composed import COMPOSED
from lmkernel.contract.mandatory import MandatoryOps
from lmkernel_conformance.designs import DESIGNS, read_rows
from lmkernel_conformance.levels import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["group_failures", "told_cause"]

Row = Mapping[str, Any]

_PLACE = re.compile(r"^(\w+ at [\w.]+:\d+|expected an array of .+, as requires of .+)")
"""How a message begins that has one cause in any case: the class, file and line of an exception; or
arrays of a framework that the specification does not name."""


_BESIDE = ", against its composition: "
_NAMED = re.compile(rf"^(?:\w+/)?(\w+)[\w.]*(?:\[\w+\]: |{_BESIDE})")
"""How a message begins that names the case of one operation, where a case tries several."""
_DESIGNED = re.compile(r"^design\.([\w.]+)\.(\d+)")
_OPERATIONS = frozenset({*COMPOSED, *MandatoryOps.__abstractmethods__})


def group_failures(rows: Sequence[Row]) -> list[list[Row]]:
    """Failed rows, those of one cause together; the first of each group tells most.

    Args:
        rows: rows of a certificate, each with ``case``, ``dtype`` and perhaps ``message``; those of
            fresh inputs with ``seed``.
    """
    ordered = sorted(rows, key=_rank)
    lowest = ordered[0]["case"].partition("/")[0] if ordered else ""
    groups: dict[str, list[Row]] = {}
    for row in ordered:
        groups.setdefault(_cause(row, lowest), []).append(row)
    return list(groups.values())


def told_cause(row: Row) -> str:
    """The cause that a row's message itself names; empty where it does not."""
    told = _PLACE.match(row.get("message", ""))
    return told[1] if told else ""


def _rank(row: Row) -> tuple[bool, int, bool, bool, bool]:
    """An override beside its composition, then lower levels; there eager calls on kept inputs."""
    level, _, name = row["case"].partition("/")
    beside = level == "operations" and _BESIDE in row.get("message", "")
    place = LEVELS.index(level) if level in LEVELS else len(LEVELS)
    later = name.startswith("compiled."), "seed" in row
    return not beside, place, not name.startswith("overrides."), *later


def _cause(row: Row, lowest: str) -> str:
    """What a row's cause is called: by its message, the operation, or what it builds on."""
    told = told_cause(row)
    if told:
        return told
    level = row["case"].partition("/")[0]
    return _operation(row) if level == lowest else "what is built on them"


def _operation(row: Row) -> str:
    """The operation that failed, by the message, the design or the name; else a family of cases."""
    name = row["case"].partition("/")[2]
    named, family = _NAMED.match(row.get("message", "")), _family(name)
    words = [*([named[1]] if named else []), family, *name.split(".")]
    return next((word for word in words if word in _OPERATIONS), family)


def _family(name: str) -> str:
    """The first part of a case's name; of a row of a design its operation, or the design."""
    found = _DESIGNED.match(name)
    if not found or found[1] not in DESIGNS:
        return name.partition(".")[0]
    rows, number = read_rows(DESIGNS[found[1]]), int(found[2])
    row = rows[number] if number < len(rows) else {}
    return str(row.get("operation", found[1])).partition(".")[0]
