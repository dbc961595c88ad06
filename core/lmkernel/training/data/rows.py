"""Rows of data: values by column, and the place that errors name.

Constraint: rows are read again from the start each time they are iterated over, one at a time, so
that a corpus need not fit into memory.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import InputError
from lmkernel.files import MOST_DIGITS, is_deep

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

__all__ = [
    "Documents",
    "Row",
    "Rows",
    "UnusedColumns",
    "class_name",
    "columns_of_uses",
    "parsed_value",
]


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Args:
        values: by column.
        where: the file, and the line or row in it.
    """

    values: Mapping[str, Any]
    where: str

    def column(self, name: str) -> Any:
        """The value of a column.

        Raises:
            InputError: there is no such column, or it holds nothing; names those that are there.
        """
        value = self.values.get(name)
        if value is None:
            there = ", ".join(map(str, self.values)) or "none"
            what = "a value" if name in self.values else "a column"
            raise InputError(
                f"{self.where}: expected {what} {name!r}, got the columns {there} "
                "(--column, or columns in the settings, says what the data call one)"
            )
        return value

    def text(self, name: str) -> str:
        """The text of a column.

        Raises:
            InputError: as `column`; not a text; a lone surrogate, which UTF-8 cannot express.
        """
        value = self.column(name)
        if not isinstance(value, str):
            raise InputError(
                f"{self.where}: expected text in the column {name!r}, got {type(value).__name__}"
            )
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{self.where}: expected text that UTF-8 can express in the column {name!r}, got "
                f"the lone surrogate U+{ord(value[error.start]):04X}"
            ) from error
        return value


def columns_of_uses(
    row: Row, known: Mapping[str, Sequence[str]], columns: Mapping[str, str]
) -> dict[str, str]:
    """The column of each use: as the settings name it, else the first known one that the row has.

    Args:
        row: a row of the data.
        known: the usual names of the column of each use, the first the one that errors name.
        columns: those that the settings name, by use.
    """
    return {
        use: columns.get(use) or next((n for n in names if n in row.values), names[0])
        for use, names in known.items()
    }


def parsed_value(value: Any) -> Any:
    """What a table without lists and numbers, such as a CSV file, holds as JSON; else the same."""
    if isinstance(value, str):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            return value
        return value if is_deep(found) else found
    return value


def class_name(row: Row, value: str | int) -> str:
    """The name of a class that a row has as a text or a whole number.

    Raises:
        InputError: a number of more digits than are compared by value.
    """
    name = str(value)
    if len(name) > MOST_DIGITS and name.removeprefix("-").isdecimal():
        raise InputError(
            f"{row.where}: expected the name or the number of a class, of at most {MOST_DIGITS} "
            f"digits, got {len(name)} digits"
        )
    return name


@final
class Rows:
    """Rows that can be gone through many times.

    Args:
        read: begins to read them.
        name: of the whole, for errors.
        notes: what should be said of it.
    """

    def __init__(
        self, read: Callable[[], Iterator[Row]], name: str, notes: tuple[str, ...] = ()
    ) -> None:
        self._read = read
        self.name = name
        self.notes = notes

    def __iter__(self) -> Iterator[Row]:
        """From the first one.

        Raises:
            InputError: there are no rows.
        """
        empty = True
        for row in self._read():
            empty = False
            yield row
        if empty:
            raise InputError(f"{self.name}: expected data, got not one row")


@final
class UnusedColumns:
    """The columns of rows that nothing is made of, in the order in which they came."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def note(self, row: Row, used: Collection[str]) -> None:
        """Take in a row, of which some columns were used."""
        for name, value in row.values.items():
            if name not in used and value is not None:
                self.add(str(name))

    def add(self, name: str) -> None:
        """Take in the name of a column, or of something in one, of which nothing is made."""
        self._names[name] = None

    def __str__(self) -> str:
        return ", ".join(self._names)


@final
class Documents:
    """The texts of rows; empty ones hold nothing to learn and are passed over.

    Args:
        rows: from `open_rows`.
        column: where each row has its text.
        unused: takes note of the columns that are left over.
    """

    def __init__(
        self, rows: Rows, column: str = "text", unused: UnusedColumns | None = None
    ) -> None:
        self._rows = rows
        self._column = column
        self._unused = unused

    def __iter__(self) -> Iterator[str]:
        """From the first one.

        Raises:
            InputError: as reading the rows, a row without that column, or no text in any.
        """
        empty = True
        for row in self._rows:
            if self._unused is not None:
                self._unused.note(row, (self._column,))
            if text := row.text(self._column):
                empty = False
                yield text
        if empty:
            raise InputError(
                f"{self._rows.name}: expected documents, got not one with text in {self._column!r}"
            )
