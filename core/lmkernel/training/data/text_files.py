"""Rows of files that are UTF-8: text, JSON, JSONL and CSV; errors name the line or the byte."""

from __future__ import annotations

import csv
import functools
import itertools
from typing import TYPE_CHECKING

from lmkernel.checkpoints.json_files import MOST_BYTES, parse_object, parse_values
from lmkernel.errors import CheckpointError, InputError
from lmkernel.files import open_regular
from lmkernel.training.data.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["csv_rows", "json_rows", "jsonl_rows", "text_rows"]

_MARK = b"\xef\xbb\xbf"
"""UTF-8's byte order mark, which some editors put first."""
_GZIP = b"\x1f\x8b"
"""What a file that gzip compressed begins with (RFC 1952, §2.3.1); no UTF-8 does."""


def text_rows(path: Path, *, blank_lines: bool) -> Iterator[Row]:
    """The column ``text``: the file as one document, or one for each block between blank lines.

    Raises:
        InputError: unreadable, empty, binary or not UTF-8.
    """
    if not blank_lines:
        yield Row({"text": "".join(line for _, line in _lines(path))}, str(path))
        return
    block: list[str] = []
    first = 1
    for number, line in _lines(path):
        if line.strip():
            first = first if block else number
            block.append(line)
        elif block:
            yield _block(block, path, first)
            block = []
    if block:
        yield _block(block, path, first)


def _block(block: list[str], path: Path, first: int) -> Row:
    return Row({"text": "".join(block).rstrip("\r\n")}, f"{path}: line {first}")


def jsonl_rows(path: Path) -> Iterator[Row]:
    """One JSON object a line (jsonlines.org); blank lines are passed over.

    Raises:
        InputError: unreadable, empty, binary or not UTF-8; or names the line that is no JSON
            object.
    """
    for number, line in _lines(path, MOST_BYTES):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            yield Row(parse_object(line.rstrip().encode(), where), where)
        except CheckpointError as error:
            raise InputError(str(error)) from error


def json_rows(path: Path) -> Iterator[Row]:
    """The objects of one JSON list, or JSON objects one after another, on lines or not.

    Raises:
        InputError: unreadable, empty, binary or not UTF-8; or names the line that is no JSON, or
            what is no object.
    """
    try:
        for number, value in parse_values("".join(line for _, line in _lines(path)), str(path)):
            where = f"{path}: line {number}"
            if not isinstance(value, dict):
                raise InputError(
                    f"{where}: expected an object with columns, got {type(value).__name__}"
                )
            yield Row(value, where)
    except CheckpointError as error:
        raise InputError(str(error)) from error


def csv_rows(path: Path, *, delimiter: str = ",") -> Iterator[Row]:
    """The records below a line of column names (RFC 4180); all values are text.

    A column without a name, as of the index that pandas writes, is called as pandas calls it.

    Raises:
        InputError: unreadable, empty, binary or not UTF-8; no or repeated column names; a record
            of another length; a value of more characters than a JSON file may have bytes.
    """
    # documents are longer than csv's own limit of 131,072 characters, which is the whole process's,
    # so it is raised and never lowered
    csv.field_size_limit(max(csv.field_size_limit(), MOST_BYTES))
    lines = (line for _, line in _lines(path, MOST_BYTES))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    records = functools.partial(_next_record, reader, path)
    columns = _named(records() or [])
    if len(set(columns)) < len(columns) or not columns:
        raise InputError(f"{path}: line 1: expected distinct column names, got {columns!r:.200}")
    while (record := records()) is not None:
        where = f"{path}: line {reader.line_num}"
        if record and len(record) != len(columns):
            raise InputError(
                f"{where}: expected {len(columns)} values, one for each of "
                f"{', '.join(columns):.200}, got {len(record)}"
            )
        if record:
            yield Row(dict(zip(columns, record, strict=True)), where)


def _named(columns: list[str]) -> list[str]:
    """Names of columns, ``Unnamed: N`` for that in place N where it is empty.

    Where a column has that name itself, as in a table whose index was written twice, ``.1``, ``.2``
    or a further number follows.
    """
    names = list(columns)
    for place in (place for place, name in enumerate(columns) if not name):
        usual = f"Unnamed: {place}"
        others = (f"{usual}.{number}" for number in itertools.count(1))
        names[place] = next(x for x in itertools.chain([usual], others) if x not in names)
    return names


def _next_record(reader: Iterator[list[str]], path: Path) -> list[str] | None:
    """The next record; None at the end."""
    try:
        return next(reader, None)
    except csv.Error as error:
        number = getattr(reader, "line_num", 0)
        raise InputError(f"{path}: line {number}: expected a CSV record, {error}") from error


def _lines(path: Path, most: int | None = None) -> Iterator[tuple[int, str]]:
    """The lines with their ends, numbered from 1.

    Args:
        path: of the file.
        most: the largest number of bytes of a line; by default there is none.

    Raises:
        InputError: unreadable, empty, binary or not UTF-8; or a line is longer.
    """
    limit = -1 if most is None else most + 1
    offset = 0
    try:
        with open_regular(path, InputError) as file:
            for number, data in enumerate(iter(functools.partial(file.readline, limit), b""), 1):
                if most is not None and len(data) > most:
                    raise InputError(f"{path}: line {number}: expected at most {most} bytes")
                yield number, _decode(data, path, offset)
                offset += len(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not offset:
        raise InputError(f"{path}: expected data, got an empty file")


def _decode(data: bytes, path: Path, offset: int) -> str:
    if not offset:
        data, offset = data.removeprefix(_MARK), len(_MARK) * data.startswith(_MARK)
    if not offset and data.startswith(_GZIP):
        raise InputError(
            f"{path}: expected text, got a file that is compressed by gzip; unpack it first"
        )
    if b"\0" in data:
        at = offset + data.index(b"\0")
        raise InputError(f"{path}: expected text, got a binary file: a zero byte at offset {at}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        at = offset + error.start
        raise InputError(
            f"{path}: expected UTF-8, got the byte 0x{data[error.start]:02X} at offset {at}: "
            f"{error.reason}"
        ) from error
