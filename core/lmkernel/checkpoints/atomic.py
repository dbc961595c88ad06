"""A folder that appears whole or not at all.

It is filled under a temporary name beside its place, flushed to the disk, and renamed. Whatever
stops it, an error, a full disk, an interrupt, what was there before stays, and the temporary goes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from typing import TYPE_CHECKING

from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["new_directory"]


@contextlib.contextmanager
def new_directory(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that takes the place of ``path`` when the block ends well.

    Raises:
        CheckpointError: ``path`` is there, is not an empty folder, and ``overwrite`` is false; or
            the disk refuses.
    """
    if not overwrite and _occupied(path):
        raise CheckpointError(f"{path} is there already and not empty; say overwrite to replace it")
    temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}.part"
    try:
        temporary.mkdir(parents=True)
        yield temporary
        _sync(temporary)
        _take_place(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(f"{path}: cannot be written: {reason}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _occupied(path: Path) -> bool:
    return path.exists() and (not path.is_dir() or any(path.iterdir()))


def _take_place(temporary: Path, path: Path) -> None:
    """Rename, moving aside what is there for that moment, and back if the rename fails."""
    if not path.exists():
        temporary.rename(path)
    else:
        aside = temporary.with_suffix(".old")
        path.rename(aside)
        try:
            temporary.rename(path)
        except BaseException:
            aside.rename(path)
            raise
        shutil.rmtree(aside, ignore_errors=True) if aside.is_dir() else aside.unlink()
    _sync_folder(path.parent)


def _sync(folder: Path) -> None:
    """Flush every file of a folder, then the folder."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb+") as handle:
                os.fsync(handle.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # Windows keeps the names of a folder by itself
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
