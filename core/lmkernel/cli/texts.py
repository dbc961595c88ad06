"""Texts that commands read: arguments, lines of standard input, or columns of data."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from lmkernel.arguments import require_count
from lmkernel.cli.options import read_items, read_lines
from lmkernel.cli.runs import add_data_options, named_columns
from lmkernel.cli.screen import escaped_json
from lmkernel.errors import InputError
from lmkernel.progress import as_progress, new_bar

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lmkernel.training.data.rows import Row

__all__ = [
    "BATCH",
    "Item",
    "add_text_arguments",
    "as_items",
    "batches",
    "check_batch",
    "print_lines",
    "read_columns",
    "read_texts",
    "results",
]

BATCH = 32
STANDARD_INPUT = "-"


class Item(NamedTuple):
    """Something that a command is to work on, and the row that it was read from, if any."""

    value: Any
    where: str = ""


def as_items(values: Iterable[Any]) -> Iterator[Item]:
    """What was given as arguments, which has no row."""
    return map(Item, values)


def add_text_arguments(
    parser: argparse.ArgumentParser,
    *,
    columns: Sequence[str] = ("text",),
    name: str | None = "TEXT",
    batch: int = BATCH,
    cuts: bool = True,
) -> None:
    """``TEXT …``, ``--data``, ``--column``, ``--truncate`` and ``--batch``.

    Args:
        parser: the command's.
        columns: those that are read of the data.
        name: of the texts in the help; None where the command has its own arguments.
        batch: how many are computed at once by default.
        cuts: whether what is too long may be cut.
    """
    if name is not None:
        parser.add_argument(
            "texts", nargs="*", metavar=name, help="default: standard input, a text a line"
        )
    what = f"the column{'s' * (len(columns) > 1)} {' and '.join(columns)}"
    add_data_options(
        parser,
        f"JSON, JSONL, CSV or Parquet, or - for JSON lines on standard input: {what}",
        columns,
        cuts=cuts,
    )
    parser.add_argument("--batch", type=int, default=batch, metavar="N", help=f"default {batch}")


def check_batch(args: argparse.Namespace) -> None:
    """A batch of nothing is wrong before a model is loaded."""
    require_count("--batch", args.batch)


def read_texts(args: argparse.Namespace) -> Iterator[Item]:
    """The texts, or pairs of texts; data are read as they are asked for.

    Raises:
        InputError: texts and data, an empty line, or a batch of nothing.
    """
    check_batch(args)
    if args.texts and args.data:
        raise InputError("expected texts as arguments or --data, got both")
    if args.data:
        return read_columns(args, {"text": ("text",), "second": ()}, _text_or_pair)
    lines = args.texts or read_items()
    return as_items(lines)


def _text_or_pair(row: Row, columns: Mapping[str, str]) -> Any:
    if "second" in columns:
        return row.text(columns["text"]), row.text(columns["second"])
    return row.text(columns["text"])


def read_columns(
    args: argparse.Namespace,
    known: Mapping[str, tuple[str, ...]],
    make: Callable[[Row, Mapping[str, str]], Any],
) -> Iterator[Item]:
    """What is made of each row of ``--data``; they are read as they are asked for.

    Args:
        args: with ``data`` and ``columns``.
        known: for each use the names that its column may have, the first that is there; none for a
            column that is read only if ``--column`` names it.
        make: given a row and its columns by use.

    Raises:
        InputError: ``--column`` names a use that there is not; later, whatever is wrong with a row.
    """
    named = named_columns(args.columns) or {}
    if other := sorted(named.keys() - known):
        raise InputError(f"--column: expected {', '.join(known)}, got {', '.join(other)}")
    return _made(args.data, known, named, make)


def _made(
    source: str,
    known: Mapping[str, tuple[str, ...]],
    named: Mapping[str, str],
    make: Callable[[Row, Mapping[str, str]], Any],
) -> Iterator[Item]:
    from lmkernel.training.data.readers import open_rows
    from lmkernel.training.data.rows import Rows, UnusedColumns

    rows = Rows(_standard_rows, source) if source == STANDARD_INPUT else open_rows(source)
    unused = UnusedColumns()
    for row in rows:
        found = {
            use: named.get(use) or next((n for n in names if n in row.values), names[0])
            for use, names in known.items()
            if use in named or names
        }
        unused.note(row, set(found.values()))
        yield Item(make(row, found), row.where)
    _tell((*rows.notes, f"{source}: columns that are not used: {unused}" * bool(str(unused))))


def _standard_rows() -> Iterator[Row]:
    """A row for each line of standard input, a JSON object or a text."""
    from lmkernel.training.data.rows import Row

    for number, line in enumerate(read_lines(), 1):
        if not line.strip():
            continue
        where = f"standard input, line {number}"
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: expected a JSON object, got {line!r:.60}") from error
        if not isinstance(values, dict):
            raise InputError(f"{where}: expected a JSON object, got {line!r:.60}")
        yield Row(values, where)


def batches(items: Iterable[Item], batch: int) -> Iterator[list[Item]]:
    """So many items at a time, read as they are asked for.

    Where one can't be read, those before it come first.
    """
    several: list[Item] = []
    try:
        for one in items:
            several.append(one)
            if len(several) == batch:
                yield several
                several = []
    except InputError:
        if several:
            yield several
        raise
    if several:
        yield several


def results(several: Sequence[Item], find: Callable[[list[Any]], Any]) -> Iterator[Any]:
    """What is found of several items at once.

    Where that fails, they are tried one by one: what is found before the one that is wrong is
    given all the same.

    Raises:
        InputError: begins with the row of what is wrong, if it was read from one.
    """
    if len(several) > 1:
        try:
            found = find([one.value for one in several])
        except InputError:
            pass  # it is found again below, alone
        else:
            yield found
            return
    for one in several:
        try:
            yield find([one.value])
        except InputError as error:
            if not one.where:
                raise
            raise type(error)(f"{one.where}: {error}") from error


def print_lines(
    items: Iterable[Item],
    batch: int,
    find: Callable[[list[Any]], object],
    unit: str,
    *,
    as_json: bool = True,
) -> int:
    """Print what is found of each batch as it is found; returns the exit code.

    A bar shows how far it is where a terminal sees standard error and not the results.
    """
    progress = as_progress(value=True)
    watched = progress.live and not sys.stdout.isatty()
    bar = new_bar(progress.stream, unit=unit) if watched else None
    for several in batches(items, batch):
        for found in results(several, find):
            print(escaped_json(str(found)) if as_json else found, flush=True)
        if bar is not None:
            bar.update(len(several))
    if bar is not None:
        bar.close()
    return 0


def _tell(notes: tuple[str, ...]) -> None:
    for note in filter(None, notes):
        print(note, file=sys.stderr)
