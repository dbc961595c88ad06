"""What the pages of a Parquet file become in memory, by their own headers, before one is read.

A page of kilobytes may become gigabytes, and pyarrow takes what a page's header says, whatever the
summary at the end of the file says. Source: the format's ``parquet.thrift``, in Thrift's compact
protocol.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, final

from lmkernel.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_pages"]

_MOST_PAGE = 2**27
"""Bytes of a page; the largest that a common writer makes, DuckDB's, has a hundred million."""
_MOST_AT_ONCE = 2**29
"""Bytes of all pages that are open at one time: a dictionary and another page of each column."""
_SIZE, _STORED, _PAGE, _DICTIONARY, _NEWER_PAGE, _COUNT = 2, 3, 5, 7, 8, 1
"""The numbers of a header's fields: the page's size, what is stored of it, and one that says of
which sort it is, with the number of its values."""
_MOST_PAGES = 200_000
_ITEM = 8
"""Bytes that a value within a list takes at least, be it none."""
_STEPS, _DEPTH, _MANY = 10_000, 8, 15
_TRUE, _FALSE, _BYTE, _LONG, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 6, 7, 8, 9, 10, 12
"""The protocol's kinds of values; a header has no map."""


def check_pages(file: IO[bytes], summary: Any, most: int, where: Path) -> None:
    """Refuse a file whose pages need more memory than any sound file's.

    Args:
        file: open, anywhere.
        summary: pyarrow's metadata of the file.
        most: bytes that the values of lists in a group of rows may become; one row may hold all.
        where: for messages.

    Raises:
        InputError: a page is too large, or all that are open together, or a header is none; or
            lists have too many values.
    """
    for group in range(summary.num_row_groups):
        row_group, together = summary.row_group(group), 0
        for number in range(row_group.num_columns):
            column = row_group.column(number)
            if not column.num_values:  # no page is read, and none need be there
                continue
            place = f"{where}: column {column.path_in_schema!r}"
            size, count = _largest(file, column, place)
            together += size
            if summary.schema.column(number).max_repetition_level and count * _ITEM > most:
                raise InputError(
                    f"{place}: expected lists of at most {most // _ITEM} values in a group of "
                    f"rows, got {count}"
                )
        if together > _MOST_AT_ONCE:
            raise InputError(
                f"{where}: expected pages of at most {_MOST_AT_ONCE} bytes in all columns "
                f"together, got {together}"
            )


def _largest(file: IO[bytes], column: Any, where: str) -> tuple[int, int]:
    """Of a column in a group of rows: bytes of the dictionary and the largest page; its values."""
    start, dictionary, largest, count = column.data_page_offset, 0, 0, 0
    if column.dictionary_page_offset:
        start = min(start, column.dictionary_page_offset)
    at, end = start, start + column.total_compressed_size
    for _ in range(_MOST_PAGES):
        if at >= end:
            return dictionary + largest, count
        file.seek(at)
        header = _Header(file, where).fields()
        size, stored = _number(header, _SIZE), _number(header, _STORED)
        if not 0 <= size <= _MOST_PAGE or stored < 0:
            raise InputError(f"{where}: expected pages of at most {_MOST_PAGE} bytes, got {size}")
        kind = next((n for n in (_PAGE, _NEWER_PAGE, _DICTIONARY) if n in header), _PAGE)
        values = _number(header.get(kind), _COUNT)
        if kind != _DICTIONARY:
            largest, count = max(largest, size), count + values
        elif values > size:
            raise InputError(f"{where}: expected a dictionary whose values take a byte each")
        else:
            dictionary = max(dictionary, size)
        at = file.tell() + stored
    raise InputError(f"{where}: expected at most {_MOST_PAGES} pages in a group of rows, got more")


def _number(fields: Any, which: int) -> int:
    """A field that is a whole number; -1 where there is none, or something else."""
    value = fields.get(which) if isinstance(fields, dict) else None
    return value if isinstance(value, int) else -1


@final
class _Header:
    """Reads one header from where a file stands, and no more of it than ten thousand steps."""

    def __init__(self, file: IO[bytes], where: str) -> None:
        self._file, self._where, self._left = file, where, _STEPS

    def fields(self, depth: int = 0) -> dict[int, Any]:
        """The fields of a structure that are whole numbers or structures, by number."""
        found: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self._whole()
            found[number] = self._value(head & 15, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return None
        if kind == _BYTE:
            return self._byte()
        if _BYTE < kind <= _LONG:
            return self._whole()
        if kind in (_DOUBLE, _BINARY):
            return self._file.seek(8 if kind == _DOUBLE else self._plain(), 1) and None
        if kind == _STRUCT and depth < _DEPTH:
            return self.fields(depth + 1)
        if kind in (_LIST, _SET) and depth < _DEPTH:
            return self._items(depth + 1)
        raise InputError(f"{self._where}: expected the header of a page, got something else")

    def _items(self, depth: int) -> None:
        head = self._byte()
        count = head >> 4 if head >> 4 != _MANY else self._plain()
        for _ in range(count):
            kind = head & 15
            self._byte() if kind in (_TRUE, _FALSE) else self._value(kind, depth)

    def _whole(self) -> int:
        value = self._plain()
        return (value >> 1) ^ -(value & 1)

    def _plain(self) -> int:
        """A number in groups of seven bits, the lowest first."""
        value = shift = 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def _byte(self) -> int:
        read = self._file.read(1) if self._left else b""
        self._left -= 1
        if not read:
            raise InputError(f"{self._where}: expected the header of a page, got none that ends")
        return read[0]
