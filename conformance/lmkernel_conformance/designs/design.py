"""A covering design: factors with levels, and what of their combinations some rows cover.

Constraints: rows are made once by ``python -m lmkernel_conformance.designs``, with the library
covertable, and kept in a file of the suite; nothing else needs the library.
"""

from __future__ import annotations

import functools
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["FILE", "Design", "Row", "Rule", "read_rows"]

FILE = Path(__file__).with_name("rows.json")

Row = dict[str, Any]
"""A level for each factor."""
Combination = tuple[tuple[str, Any], ...]


@final
@dataclass(frozen=True)
class Rule:
    """A condition on rows, such as that a large product has few rows.

    Args:
        factors: the factors that it looks at.
        allows: whether levels of these factors, in this order, may meet.
    """

    factors: tuple[str, ...]
    allows: Callable[..., bool]

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether a row that has all these factors keeps the rule."""
        return self.allows(*(row[name] for name in self.factors))


@final
@dataclass(frozen=True, kw_only=True)
class Design:
    """Factors with levels; every pair of levels of two factors meets in some row.

    Args:
        name: the name of the design; its cases are ``design.NAME.NUMBER``.
        factors: the levels of each factor.
        triples: the factors of which every three levels meet as well.
        rules: what rows must keep.
    """

    name: str
    factors: Mapping[str, tuple[Any, ...]]
    triples: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()

    def combinations(self) -> Iterator[Combination]:
        """Every pair, and every triple of the close factors, that some row could hold."""
        groups = [*itertools.combinations(self.factors, min(2, len(self.factors)))]
        groups += [*itertools.combinations(self.triples, 3)]
        for names in groups:
            for levels in itertools.product(*(self.factors[name] for name in names)):
                combination = tuple(zip(names, levels, strict=True))
                if self._possible(dict(combination)):
                    yield combination

    def uncovered(self, rows: Iterable[Mapping[str, Any]]) -> list[Combination]:
        """The combinations that no row holds."""
        held = [row.items() for row in rows]
        return [c for c in self.combinations() if not any(set(c) <= set(row) for row in held)]

    def _possible(self, row: Row) -> bool:
        """Whether the other factors have levels with which the rules hold."""
        asked = dict.fromkeys(name for rule in self.rules for name in rule.factors)
        missing = [name for name in asked if name not in row]
        choices = itertools.product(*(self.factors[name] for name in missing))
        return any(
            all(
                rule.holds({**row, **dict(zip(missing, chosen, strict=True))})
                for rule in self.rules
            )
            for chosen in choices
        )


def read_rows(design: Design, path: Path = FILE) -> list[Row]:
    """The rows of a design.

    Raises:
        ValueError: the file was made for other factors or levels.
    """
    entry = _content(path).get(design.name, {})
    factors = {name: list(levels) for name, levels in design.factors.items()}
    if entry.get("factors") != factors:
        raise ValueError(f"{path}: other factors in {design.name}; {_REMAKE}")
    return [
        {name: levels[i] for (name, levels), i in zip(factors.items(), row, strict=True)}
        for row in entry["rows"]
    ]


_REMAKE = "run: python -m lmkernel_conformance.designs"


@functools.cache
def _content(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
