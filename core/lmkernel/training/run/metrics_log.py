"""``metrics.jsonl``: what a run measured, one JSON object a line.

Constraints: a line is written in one piece and reaches the operating system at once, so that a
killed process loses none; every line is JSON (RFC 8259), which has no NaN: what is not finite is
one of the strings ``"NaN"``, ``"Infinity"``, ``"-Infinity"``.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from typing import TYPE_CHECKING, Any, BinaryIO, Self, final

from lmkernel.atomic import unwritable, write_whole
from lmkernel.checkpoints.json_files import parse_object
from lmkernel.errors import CheckpointError, RunError
from lmkernel.files import is_there, open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["MetricsLog", "read_metrics"]

_NOT_FINITE = ("NaN", "Infinity", "-Infinity")


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Each line as a mapping from names to numbers, ``"step"`` among them.

    A line that is not whole, such as the last one of a process that died of a full disk, is left
    out. A missing file has no lines.

    Raises:
        RunError: it cannot be read, or a whole line holds anything else; names the line.
    """
    if not is_there(path):
        return
    with open_regular(path, RunError) as file:
        for number, line in enumerate(file, 1):
            values = _parse(line, f"{path}: line {number}")
            if values is not None:
                yield values


@final
class MetricsLog:
    """Appends to the file; a context manager.

    A file that was removed meanwhile is begun again, and a warning says so.

    Args:
        path: of the file.
        step: the step that the run goes on after; lines of later steps, and lines that are not
            whole, are removed.

    Raises:
        RunError: the disk refuses, here or in `append`.
    """

    def __init__(self, path: Path, step: int = 0) -> None:
        self._path = path
        if path.exists():
            lines = (v for v in read_metrics(path) if v["step"] <= step)
            write_whole(path, b"".join(map(_line, lines)), RunError)
        self._file = self._open()

    def _open(self) -> BinaryIO:
        try:
            return self._path.open("ab", buffering=0)
        except OSError as error:
            raise unwritable(self._path, error, RunError) from error

    def append(self, step: int, values: Mapping[str, float]) -> None:
        """One line: the step, then the numbers by name, such as ``"train/loss"``."""
        if not os.fstat(self._file.fileno()).st_nlink:
            self._file.close()
            self._file = self._open()
            text = f"{self._path}: removed meanwhile; what was measured before step {step} is gone"
            warnings.warn(text, stacklevel=2)
        try:
            self._file.write(_line({"step": step, **values}))
        except OSError as error:
            raise unwritable(self._path, error, RunError) from error

    def close(self) -> None:
        """End it; nothing waits to be written."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _line(values: Mapping[str, float]) -> bytes:
    plain = {name: _plain(value) for name, value in values.items()}
    return (json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _plain(value: float) -> int | float | str:
    if isinstance(value, int):
        return value
    number = float(value)
    if math.isnan(number):
        return "NaN"
    return number if math.isfinite(number) else ("Infinity" if number > 0 else "-Infinity")


def _parse(line: bytes, where: str) -> dict[str, Any] | None:
    try:
        values = parse_object(line, where)
    except CheckpointError:
        return None
    numbers = {name: float(v) if v in _NOT_FINITE else v for name, v in values.items()}
    for name, value in numbers.items():
        if type(value) not in (int, float):
            raise RunError(f"{where}: {name}: expected a number, got {value!r}")
    if type(numbers.get("step")) is not int:
        raise RunError(f"{where}: step: expected a whole number, got {numbers.get('step')!r}")
    return numbers
