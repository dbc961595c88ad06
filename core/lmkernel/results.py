"""What a verb gives back: an object that reads well printed, as JSON, and in a notebook."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any, TypeVar, overload

__all__ = ["Line", "Lines", "Paint", "Result", "columns", "counted", "human_size", "plain"]

Paint = Callable[[str, str], str]
"""Puts a text into a colour or weight: red, green, yellow, dim or bold."""


def plain(text: str, colour: str) -> str:
    """``text`` without its colour."""
    del colour
    return text


class Result(ABC):
    """A result: ``str()`` gives what the command prints, ``json()`` what it prints with ``--json``.

    In a notebook it is shown as a table.
    """

    @abstractmethod
    def rows(self) -> list[list[str]]:
        """Its table, the header first."""

    @abstractmethod
    def json(self) -> Any:
        """The same as plain values that JSON holds."""

    def notes(self) -> list[str]:
        """Lines below the table."""
        return []

    def text(self, paint: Paint = plain) -> str:
        """The table and its notes; ``paint`` puts a text into a colour, as a terminal shows it."""
        header, *lines = columns(self.rows_in_colour(paint)).split("\n")
        return "\n".join([paint(header, "bold"), *lines, *self.notes()])

    def rows_in_colour(self, paint: Paint) -> list[list[str]]:
        """The rows, with colour in the last cell of those that want some."""
        del paint
        return self.rows()

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        from html import escape

        header, *rows = self.rows()
        head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"


class Line(ABC):
    """What was found of one input; ``str()`` gives it as a JSON object on one line."""

    @abstractmethod
    def json(self) -> dict[str, Any]:
        """The same as plain values that JSON holds."""

    @abstractmethod
    def cells(self) -> dict[str, str]:
        """Its row in a table, by the columns' names."""

    def __str__(self) -> str:
        return json.dumps(self.json(), ensure_ascii=False)


L = TypeVar("L", bound=Line)


class Lines(Result, Sequence[L], ABC):
    """What was found of several inputs, in their order.

    Args:
        found: one for each.
    """

    def __init__(self, found: Sequence[L]) -> None:
        self._found = list(found)

    @overload
    def __getitem__(self, index: int) -> L: ...
    @overload
    def __getitem__(self, index: slice) -> list[L]: ...
    def __getitem__(self, index: int | slice) -> L | list[L]:
        return self._found[index]

    def __len__(self) -> int:
        return len(self._found)

    def rows(self) -> list[list[str]]:
        """Its table."""
        cells = [one.cells() for one in self]
        return [list(cells[0]), *(list(one.values()) for one in cells)] if cells else [[""]]

    def json(self) -> list[dict[str, Any]]:
        """The same as plain values."""
        return [one.json() for one in self]

    def text(self, paint: Paint = plain) -> str:
        """A JSON object a line."""
        del paint
        return "\n".join(map(str, self))


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines with aligned columns; the last cell of a row takes what it needs."""
    widths = [
        max(len(cell) for cell in column)
        for column in zip_longest(*(row[:-1] for row in rows), fillvalue="")
    ]
    return "\n".join("  ".join(_pad_cells(row, widths)).rstrip() for row in rows)


def counted(count: int, noun: str) -> str:
    """``"1 token"``, ``"2 tokens"``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def human_size(size: int) -> str:
    """Bytes with a prefix of the SI: ``"538 MB"``."""
    if size < 1000:  # noqa: PLR2004 - the SI's step
        return f"{size} B"
    value = float(size)
    for prefix in "kMGT":
        value /= 1000
        if value < 999.5 or prefix == "T":  # noqa: PLR2004 - what rounds to 1000 takes the next
            break
    return f"{value:.{1 if value < 9.95 else 0}f} {prefix}B"  # noqa: PLR2004 - two digits at least


def _pad_cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)), *row[-1:]]
