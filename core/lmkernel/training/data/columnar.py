"""Rows of Parquet files and of Hugging Face ``datasets``, through libraries imported when used."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmkernel.checkpoints.json_files import MOST_BYTES
from lmkernel.errors import InputError, MissingDependencyError
from lmkernel.files import is_file, is_folder, open_regular
from lmkernel.training.data.parquet_pages import check_pages
from lmkernel.training.data.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["DATASETS_PREFIX", "dataset_rows", "is_saved_dataset", "parquet_rows"]

DATASETS_PREFIX = "datasets:"
_MARKS = ("dataset_dict.json", "dataset_info.json")
_BATCH = 64
_LEAST, _MOST_GROWTH = MOST_BYTES, 100
"""The bytes that any file may become, and how often its own size."""
_TEXTS, _LARGE = ("STRING", "JSON", "ENUM", "NONE"), 2**24
_VALUE = 200
"""Bytes that a value of a row takes besides its content."""


def parquet_rows(path: Path) -> Iterator[Row]:
    """The rows of a Parquet file, numbered from 1, of which few are in memory at once.

    A dictionary and runs of equal values let a small file have any number of rows, and any size.

    Raises:
        InputError: unreadable, not Parquet, repeated column names, pages that need too much memory,
            or its rows are a hundred times as large.
        MissingDependencyError: pyarrow is not installed.
    """
    arrow = _library("pyarrow", "parquet", str(path))
    parquet = importlib.import_module("pyarrow.parquet")
    try:
        with open_regular(path, InputError) as opened:  # pyarrow would wait for a pipe
            most = max(_LEAST, _MOST_GROWTH * os.fstat(opened.fileno()).st_size)
            summary = parquet.read_metadata(path)
            _check_names(summary.schema.to_arrow_schema().names, path)
            check_pages(opened, summary, most, path)
        with parquet.ParquetFile(path, read_dictionary=_texts(summary)) as file:
            number = 0
            for batch in _bounded(_batches(file), most, path):
                for values in _all_values(batch, path, number):
                    number += 1
                    yield Row(values, f"{path}: row {number}")
    except InputError:
        raise
    except (arrow.ArrowException, OSError, ValueError, OverflowError) as error:
        # text that is no UTF-8 and dates that Python has no word for are seen row by row
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: expected a Parquet file that can be read: {reason}") from error


def _check_names(names: list[str], path: Path) -> None:
    """Refuse two columns of one name; pyarrow itself refuses such fields of a struct."""
    if len(set(names)) < len(names):
        raise InputError(f"{path}: expected distinct column names, got {names!r:.200}")


def _texts(summary: Any) -> list[str]:
    """The columns of texts, of which each value is kept once however many rows have it."""
    columns = [summary.schema.column(i) for i in range(summary.num_columns)]
    return [
        column.path
        for column in columns
        if column.physical_type == "BYTE_ARRAY" and column.logical_type.type in _TEXTS
    ]


def _batches(file: Any) -> Iterator[Any]:
    """Record batches of few rows, of one group of rows after the other.

    pyarrow does not join dictionaries of several groups within lists.
    """
    for group in range(file.num_row_groups):
        yield from file.iter_batches(batch_size=_BATCH, row_groups=[group])


def _bounded(batches: Iterable[Any], most: int, path: Path) -> Iterator[Any]:
    """Record batches, as long as they are not larger than ``most`` bytes in all.

    One that is large comes row by row.
    """
    number = 0
    for batch in batches:
        size = sum(map(_size, batch.columns))
        most -= size + _VALUE * batch.num_rows * max(1, batch.num_columns)
        if most < 0:
            raise InputError(
                f"{path}: row {number + 1}: expected rows of at most {_MOST_GROWTH} times the size "
                f"of the file, and {_LEAST} bytes at any rate, until here, got more"
            )
        number += batch.num_rows
        step = batch.num_rows if size < _LARGE else 1
        yield from (batch.slice(at, step) for at in range(0, batch.num_rows, step or 1))


def _size(column: Any) -> int:
    """The bytes of a column's values, each as often as rows have it."""
    arrow = importlib.import_module("pyarrow")
    compute = importlib.import_module("pyarrow.compute")
    if arrow.types.is_dictionary(column.type):
        lengths = compute.binary_length(column.dictionary)
        return compute.sum(lengths.take(column.indices)).as_py() or 0
    if arrow.types.is_struct(column.type):
        return sum(map(_size, column.flatten()))
    if arrow.types.is_list(column.type) or arrow.types.is_large_list(column.type):
        return _size(column.flatten())
    return int(column.nbytes)


def _all_values(batch: Any, path: Path, before: int) -> list[dict[str, Any]]:
    """The rows of a record batch; what Python cannot hold is looked for one by one, to name it."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except (ValueError, OverflowError):  # text that is no UTF-8, dates beyond the year 9999
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for number, value in enumerate(column, before + 1):
                _check_value(value, f"{path}: row {number}: column {name!r}")
        raise
    return rows


def _check_value(value: Any, where: str) -> None:
    try:
        value.as_py()
    except (ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        own = importlib.import_module("pyarrow").types.is_dictionary(value.type)
        kind = value.type.value_type if own else value.type
        raise InputError(
            f"{where}: expected a value that Python can hold, got {kind}: {reason}"
        ) from error


def is_saved_dataset(folder: Path) -> bool:
    """Whether a folder was written by `datasets.Dataset.save_to_disk`, or by that of a dict."""
    return any(is_file(folder / name) for name in _MARKS)


def dataset_rows(name: str) -> Iterator[Row]:
    """The rows of one split of a dataset, numbered from 1.

    Args:
        name: ``NAME``, ``NAME:CONFIGURATION``, or a folder that `datasets` saved; the split after
            an ``@``, ``train`` by default.

    Raises:
        InputError: the library finds no such dataset, or the dataset no such split.
        MissingDependencyError: datasets is not installed.
    """
    where, _, split = name.removeprefix(DATASETS_PREFIX).partition("@")
    dataset, number = _dataset(where, split), 0
    try:
        for number, values in enumerate(dataset, 1):
            yield Row(values, f"{DATASETS_PREFIX}{where}: row {number}")
    except (ValueError, OverflowError) as error:  # text that is no UTF-8, dates beyond 9999
        reason = " ".join(str(error).split())
        raise InputError(
            f"{DATASETS_PREFIX}{where}: row {number + 1}: expected values that Python can hold: "
            f"{reason}"
        ) from error


def _dataset(where: str, split: str) -> Any:
    library = _library("datasets", "datasets", f"{DATASETS_PREFIX}{where}")
    folder = Path(where)
    try:
        if is_folder(folder) and is_saved_dataset(folder):
            found = library.load_from_disk(where)
        else:
            found = library.load_dataset(*where.split(":"), streaming=False)
    except Exception as error:  # the library raises its own, the client's and the system's errors
        reason = " ".join(str(error).split())
        raise InputError(f"{DATASETS_PREFIX}{where}: {reason}") from error
    return _split(found, where, split)


def _split(found: Any, where: str, split: str) -> Any:
    """One split of many; a dataset saved alone has no splits to choose from."""
    if not isinstance(found, dict):
        if split:
            raise InputError(f"{DATASETS_PREFIX}{where}: expected no split, got {split!r}")
        return found
    splits: Mapping[str, Any] = found
    wanted = split or "train"
    if wanted not in splits:
        there = ", ".join(splits)
        raise InputError(
            f"{DATASETS_PREFIX}{where}: expected one of the splits {there}, got {wanted!r}"
        )
    return splits[wanted]


def _library(package: str, extra: str, for_what: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(
            f"{for_what}: {package} is not installed; run: pip install 'lmkernel[{extra}]'"
        ) from error
