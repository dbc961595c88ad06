"""Text files: UTF-8, as a whole or line by line, with the byte that is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.errors import InputError
from lmkernel.training.data.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["lines", "text_rows"]

_MARK = b"\xef\xbb\xbf"
"""UTF-8's byte order mark, which some editors put first."""


def text_rows(path: Path, *, blank_lines: bool) -> Iterator[Row]:
    """The column ``text``: the file as one document, or one for each block between blank lines.

    Raises:
        InputError: unreadable, empty, binary or not UTF-8.
    """
    if not blank_lines:
        yield Row({"text": "".join(line for _, line in lines(path))}, str(path))
        return
    block: list[str] = []
    first = 1
    for number, line in lines(path):
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


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines with their ends, numbered from 1.

    Raises:
        InputError: unreadable, empty, binary or not UTF-8.
    """
    offset = 0
    try:
        with path.open("rb") as file:
            for number, data in enumerate(file, 1):
                yield number, _decoded(data, path, offset)
                offset += len(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not offset:
        raise InputError(f"{path}: expected data, got an empty file")


def _decoded(data: bytes, path: Path, offset: int) -> str:
    if not offset:
        data, offset = data.removeprefix(_MARK), len(_MARK) * data.startswith(_MARK)
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
