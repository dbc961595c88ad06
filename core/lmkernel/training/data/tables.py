"""Rows of JSONL and CSV files, one JSON object or one record each."""

from __future__ import annotations

import csv
import functools
from typing import TYPE_CHECKING

from lmkernel.checkpoints.documents import parse_object
from lmkernel.errors import CheckpointError, InputError
from lmkernel.training.data.rows import Row
from lmkernel.training.data.text_files import lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["csv_rows", "jsonl_rows"]


def jsonl_rows(path: Path) -> Iterator[Row]:
    """One JSON object a line (jsonlines.org); blank lines are passed over.

    Raises:
        InputError: as `lines`, or names the line that is no JSON object.
    """
    for number, line in lines(path):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            yield Row(parse_object(line.rstrip().encode(), where), where)
        except CheckpointError as error:
            raise InputError(str(error)) from error


def csv_rows(path: Path, *, delimiter: str = ",") -> Iterator[Row]:
    """The records below a line of column names (RFC 4180); all values are text.

    Raises:
        InputError: as `lines`; no or repeated column names; a record of another length.
    """
    reader = csv.reader((line for _, line in lines(path)), delimiter=delimiter, strict=True)
    records = functools.partial(_record, reader, path)
    columns = records() or []
    if not all(columns) or len(set(columns)) < len(columns) or not columns:
        raise InputError(f"{path}: line 1: expected distinct column names, got {columns}")
    while (record := records()) is not None:
        where = f"{path}: line {reader.line_num}"
        if record and len(record) != len(columns):
            raise InputError(
                f"{where}: expected {len(columns)} values, one for each of "
                f"{', '.join(columns)}, got {len(record)}"
            )
        if record:
            yield Row(dict(zip(columns, record, strict=True)), where)


def _record(reader: Iterator[list[str]], path: Path) -> list[str] | None:
    """The next record; None at the end."""
    try:
        return next(reader, None)
    except csv.Error as error:
        number = getattr(reader, "line_num", 0)
        raise InputError(f"{path}: line {number}: expected a CSV record, {error}") from error
