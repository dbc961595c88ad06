"""Files that a stranger may have written, opened so that nothing but their content is left to fear.

Constraints: a pipe or a device is refused before it is read, as it may never end; a size is
compared with its limit before anything is read; a name that the system cannot look up (too long,
with a zero byte, a loop of links) is the name of no file.
"""

from __future__ import annotations

import contextlib
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from lmkernel.errors import CheckpointError, LmkernelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "DEEPEST",
    "MOST_DIGITS",
    "is_deep",
    "is_file",
    "is_folder",
    "is_there",
    "open_regular",
    "read_file",
    "reading",
]

DEEPEST = 100
"""Lists and tables that may lie inside each other in a document."""
MOST_DIGITS = 308
"""Digits of a whole number in a document, so that it is also a finite float."""


def is_file(path: Path) -> bool:
    """Whether there is a regular file of this name."""
    with contextlib.suppress(OSError, ValueError):
        return path.is_file()
    return False


def is_there(path: Path) -> bool:
    """Whether there is anything of this name, be it a link that leads nowhere."""
    with contextlib.suppress(OSError, ValueError):
        path.lstat()
        return True
    return False


def is_folder(path: Path) -> bool:
    """Whether there is a folder of this name."""
    with contextlib.suppress(OSError, ValueError):
        return path.is_dir()
    return False


def open_regular(path: Path, error: type[LmkernelError] = CheckpointError) -> BinaryIO:
    """A regular file, opened for reading bytes.

    Raises:
        error: it is missing, a folder, a pipe or a device, or must not be read.
    """
    # without O_NONBLOCK, opening a pipe waits for somebody to write to it
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except (OSError, ValueError) as reason:  # ValueError: a zero byte in the name
        why = getattr(reason, "strerror", None) or reason
        raise error(f"{path}: cannot be read: {why}") from reason
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise error(f"{path}: expected a regular file, got a {_kind(mode)}")
    return os.fdopen(handle, "rb")


def read_file(path: Path, most: int, error: type[LmkernelError] = CheckpointError) -> bytes:
    """The bytes of a regular file.

    Args:
        path: of the file.
        most: the largest size that it may have.
        error: the type of what is raised.

    Raises:
        error: as `open_regular` does, or the file is larger than ``most``.
    """
    with open_regular(path, error) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise error(f"{path}: expected at most {most} bytes, got {size}")
        with reading(f"{path}:", error):
            return file.read()


@contextmanager
def reading(what: str, error: type[LmkernelError] = CheckpointError) -> Iterator[None]:
    """Tell in words of what cannot be read in the block, such as a device that fails.

    Args:
        what: the beginning of the sentence.
        error: the type of what is raised.

    Raises:
        error: the system did not read.
    """
    try:
        yield
    except OSError as reason:
        raise error(f"{what} cannot be read: {reason.strerror or reason}") from reason


def is_deep(document: Any) -> bool:
    """Whether more than `DEEPEST` lists and tables lie inside each other in a parsed document.

    More would exhaust the stack of whatever walks through it. Level by level, so that this does
    not need a stack itself.
    """
    level: list[Any] = [[document]]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def _kind(mode: int) -> str:
    names = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return names.get(stat.S_IFMT(mode), "device")
