"""Texts that commands read: arguments, lines of standard input, or a column of data."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lmkernel.cli.options import read_prompt
from lmkernel.cli.runs import add_data_options, named_columns
from lmkernel.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["BATCH", "add_text_arguments", "read_texts"]

BATCH = 32


def add_text_arguments(parser: argparse.ArgumentParser) -> None:
    """``TEXT …``, ``--data``, ``--column``, ``--truncate`` and ``--batch``."""
    parser.add_argument(
        "texts", nargs="*", metavar="TEXT", help="default: standard input, a text a line"
    )
    add_data_options(parser, "JSON, JSONL, CSV or Parquet, in place of TEXT: the column text")
    parser.add_argument("--batch", type=int, default=BATCH, metavar="N", help=f"default {BATCH}")


def read_texts(args: argparse.Namespace) -> Iterator[Any]:
    """The texts, or pairs of texts; data are read as they are asked for.

    Raises:
        InputError: texts and data, or a batch of nothing.
    """
    if args.batch < 1:
        raise InputError(f"--batch: expected 1 or more, got {args.batch}")
    if args.texts and args.data:
        raise InputError("expected texts as arguments or --data, got both")
    if args.data:
        return _rows(args.data, named_columns(args.columns) or {})
    lines = args.texts or [line for line in read_prompt(None).splitlines() if line.strip()]
    return iter(lines)


def _rows(source: str, columns: dict[str, str]) -> Iterator[Any]:
    from lmkernel.training.data.readers import open_rows
    from lmkernel.training.data.rows import UnusedColumns

    text, second = columns.get("text", "text"), columns.get("second")
    rows, unused = open_rows(source), UnusedColumns()
    for row in rows:
        unused.note(row, {text, second or text})
        yield (row.text(text), row.text(second)) if second else row.text(text)
    _tell((*rows.notes, f"{source}: columns that are not used: {unused}" * bool(str(unused))))


def _tell(notes: tuple[str, ...]) -> None:
    for note in filter(None, notes):
        print(note, file=sys.stderr)
