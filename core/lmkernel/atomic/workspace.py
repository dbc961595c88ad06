"""The place beside a file or folder where its successor is made, and the end of those left over.

A workspace is a folder ``.NAME.HEX.part`` that holds ``lock``, held while its process lives, and
what is being made, under its own name. What a killed process left, the next writer in that folder
clears: a workspace whose lock is free is nobody's. It is renamed to ``….rest`` before it is
deleted, so that nothing half-deleted is ever taken for whole.

Where two names cannot be exchanged in one step, what is being replaced lies in the workspace, in
``former``, between two renames; if a kill hits that moment, it is put back.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from filelock import BaseFileLock

__all__ = ["FORMER", "remove_directory", "sweep", "workspace"]

FORMER = "former"
_LOCK = "lock"
_LEFTOVER = re.compile(r"\..*\.[0-9a-f]{12}\.(part|rest)")
_LONGEST = 40  # characters of NAME, of four bytes at most, where a name may have 255 bytes


@contextlib.contextmanager
def workspace(path: Path) -> Iterator[Path]:
    """Yield the path under which the successor of ``path`` is to be made; nothing is there yet.

    Its folder is this call's alone, lies on the same file system, and is removed at the end.

    Raises:
        OSError: the disk refuses, such as where the folder of ``path`` is missing.
    """
    sweep(path.parent)
    folder, lock = _claim(path)
    try:
        yield folder / path.name
    finally:
        lock.release()
        _discard(folder)


def sweep(folder: Path) -> None:
    """Clear what killed processes left in a folder; what they were replacing is put back."""
    with contextlib.suppress(OSError):  # a folder may be writable and not readable
        for path in list(folder.iterdir()):
            leftover = _LEFTOVER.fullmatch(path.name)
            if leftover and leftover[1] == "rest":
                shutil.rmtree(path, ignore_errors=True)
            elif leftover:
                _clear(path)


def remove_directory(path: Path) -> None:
    """Delete a folder; its name is taken away first, so that half a folder never has it.

    Raises:
        OSError: it is not there, or the disk refuses.
    """
    rest = _beside(path, "rest")
    path.rename(rest)
    shutil.rmtree(rest, ignore_errors=True)


def _claim(path: Path) -> tuple[Path, BaseFileLock]:
    from filelock import FileLock, Timeout

    while True:
        folder = _beside(path, "part")
        folder.mkdir()
        lock = FileLock(folder / _LOCK)
        try:
            # a file system without locks leaves it to its owner: who sweeps can't take it either
            with contextlib.suppress(NotImplementedError):
                lock.acquire(timeout=0)
        except Timeout:  # it was swept before it was locked
            continue
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder, lock


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name[:_LONGEST]}.{os.urandom(6).hex()}.{kind}")


def _clear(folder: Path) -> None:
    from filelock import FileLock, Timeout

    if not folder.is_dir():  # a file of an earlier version
        folder.unlink()
        return
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):  # its process lives, or nobody can tell
        return
    try:
        settled = _put_back(folder)
    finally:
        lock.release()
    if settled:
        _discard(folder)


def _put_back(folder: Path) -> bool:
    """Whether all that was being replaced has its place, be it taken by the successor."""
    for former in list((folder / FORMER).glob("*")):
        place = folder.parent / former.name
        if not place.exists():
            with contextlib.suppress(OSError):
                former.rename(place)
        if not place.exists():
            return False
    return True


def _discard(folder: Path) -> None:
    with contextlib.suppress(OSError):  # somebody swept it
        remove_directory(folder)
