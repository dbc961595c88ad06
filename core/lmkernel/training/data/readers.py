"""From a name to rows: a file, a folder of files, a dataset, or a source that is always there."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from lmkernel.errors import InputError
from lmkernel.files import is_file, is_folder, is_there
from lmkernel.paths import user_path
from lmkernel.training.data.columnar import (
    DATASETS_PREFIX,
    dataset_rows,
    is_saved_dataset,
    parquet_rows,
)
from lmkernel.training.data.rows import Row, Rows
from lmkernel.training.data.text_files import csv_rows, json_rows, jsonl_rows, text_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["is_built_in", "open_rows"]


def python_topics() -> Iterator[Row]:
    """The columns ``topic`` and ``text``: what ``help()`` says of the language, sorted by topic.

    About 465,000 characters of English in Python 3.11; they differ between versions.
    """
    from pydoc_data.topics import topics

    for topic in sorted(topics):
        yield Row({"topic": topic, "text": topics[topic]}, f"python-topics: {topic}")


_BUILT_IN: Mapping[str, Callable[[], Iterator[Row]]] = MappingProxyType(
    {"python-topics": python_topics}
)
"""Data that are there without a download."""
_TABLES: Mapping[str, Callable[[Path], Iterator[Row]]] = MappingProxyType(
    {
        ".json": json_rows,
        ".jsonl": jsonl_rows,
        ".ndjson": jsonl_rows,
        ".csv": csv_rows,
        ".tsv": functools.partial(csv_rows, delimiter="\t"),
        ".parquet": parquet_rows,
    }
)
_TEXTS = (".txt", ".text", ".md", ".rst")
_FEW = 5


def is_built_in(name: str) -> bool:
    """Whether data of a name are there without a file."""
    return name in _BUILT_IN


def open_rows(source: str | os.PathLike[str], *, blank_lines: bool = False) -> Rows:
    """The rows of a source; those of a text file have the one column ``text``.

    Args:
        source: a file (``.json``, ``.jsonl``, ``.csv``, ``.tsv``, ``.parquet``, anything else is
            text, which the rows' ``notes`` say of a kind that is not known); a folder, whose files
            of those kinds and ``.txt``, ``.md``, ``.rst`` are read in the order of their paths,
            subfolders too, and others named in the ``notes``, as are links to folders or to
            nothing and what must not be read;
            a folder that `datasets` saved; ``datasets:NAME``,
            ``datasets:NAME:CONFIGURATION``, either with ``@SPLIT``; or ``python-topics``.
        blank_lines: whether blank lines separate the documents of a text file; else it is one.

    Raises:
        InputError: there is no such source; when read, whatever is wrong with it, and where.
    """
    name = str(source)
    if not name:
        raise InputError("expected data: a file, a folder or a name, got an empty name")
    if name in _BUILT_IN:
        return Rows(_BUILT_IN[name], name)
    if name.startswith(DATASETS_PREFIX):
        return Rows(functools.partial(dataset_rows, name), name)
    path = user_path(source)
    if is_folder(path) and is_saved_dataset(path):
        return Rows(functools.partial(dataset_rows, name), name)
    files, others = _files(path)
    notes = (f"{name}: not read: {_some(others)}",) if others else ()
    if files == [path] and path.suffix and path.suffix.lower() not in (*_TABLES, *_TEXTS):
        notes = (f"{name}: read as plain text",)
    return Rows(functools.partial(_read_files, files, blank_lines), name, notes)


def _read_files(files: list[Path], blank_lines: bool) -> Iterator[Row]:
    for path in files:
        table = _TABLES.get(path.suffix.lower())
        yield from table(path) if table else text_rows(path, blank_lines=blank_lines)


def _files(path: Path) -> tuple[list[Path], list[str]]:
    """The files to read, in order, and the names of those of other kinds."""
    if not is_there(path):
        known = ", ".join((*_BUILT_IN, f"{DATASETS_PREFIX}NAME"))
        raise InputError(f"{path}: no such file; expected a file, a folder or one of {known}")
    if not is_folder(path):
        return [path], []
    kinds = {*_TABLES, *_TEXTS}
    names = {entry: entry.relative_to(path) for entry in sorted(_entries(path))}
    visible = [f for f, name in names.items() if not any(p.startswith(".") for p in name.parts)]
    found = [file for file in visible if file.suffix.lower() in kinds and is_file(file)]
    read = set(found)
    others = [str(names[entry]) for entry in visible if entry not in read]
    if not found:
        got = _some(others) if others else "none"
        wanted = ", ".join(sorted(kinds))
        raise InputError(f"{path}: expected a folder with files {wanted}, got {got}")
    return found, others


def _entries(path: Path) -> Iterator[Path]:
    """All below a folder that is no folder, or one that is not gone into: a link, or unreadable."""
    refused: list[Path] = []

    def note(error: OSError) -> None:
        if error.filename == str(path):
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
        refused.append(Path(error.filename))

    for folder, folders, files in os.walk(path, onerror=note):
        inside = Path(folder)
        yield from (inside / name for name in files)
        yield from (link for name in folders if (link := inside / name).is_symlink())
    yield from refused


def _some(names: list[str]) -> str:
    """The first few."""
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more
