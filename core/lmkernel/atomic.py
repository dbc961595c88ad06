"""Folders and files that appear whole or not at all.

Each is written under a temporary name beside its place, flushed to the disk, and renamed. Whatever
stops that, an error, a full disk or an interrupt, what was there before stays and the temporary is
removed. A killed process leaves ``.NAME.HEX.part`` behind, and ``.NAME.HEX.old`` if it was just
replacing a folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lmkernel.errors import CheckpointError, InputError, LmkernelError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["new_directory", "path_text", "put_in_place", "unwritable", "write_whole"]

_E = TypeVar("_E", bound=LmkernelError)


def path_text(given: object, what: str) -> str:
    """A path, or the name of a model, as a caller gives it.

    Raises:
        InputError: it is no text, and no object that stands for a path.
    """
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    if not isinstance(text, str):
        raise InputError(f"{what}: expected a name or a path, got {given!r:.80}")
    return text


@contextlib.contextmanager
def new_directory(
    path: Path, *, overwrite: bool = False, error: type[LmkernelError] = CheckpointError
) -> Iterator[Path]:
    """Yield a temporary folder that takes the place of ``path`` when the block ends well.

    Args:
        path: the folder to make.
        overwrite: whether it may replace what is there; an empty folder may always be replaced.
        error: the type of what is raised.

    Raises:
        error: ``path`` is there and may not be replaced, is a file or the current folder, or the
            disk refuses.
    """
    if path.exists() and (not path.is_dir() or path.samefile(Path.cwd())):
        kind = "the current folder" if path.is_dir() else "a file"
        raise error(f"{path}: expected a folder of its own, got {kind}, which is never replaced")
    path = path.resolve()  # what a link leads to is replaced, the link stays
    new = [folder for folder in path.parents if not folder.exists()]
    if not overwrite and _is_occupied(path):
        raise error(f"{path} is there already and not empty; overwrite=True replaces it")
    temporary = _temporary(path)
    aside = temporary.with_suffix(".old")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        put_in_place(temporary, path, aside)
        _remove(aside)
    except OSError as reason:
        raise unwritable(path, reason, error) from reason
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        for folder in new:  # the innermost first; those that hold something now stay
            with contextlib.suppress(OSError):
                folder.rmdir()


def put_in_place(directory: Path, path: Path, aside: Path) -> None:
    """Flush a finished folder and rename it to ``path``; what was there goes to ``aside``.

    If the second rename fails, the first is undone.
    """
    _flush(directory)
    replaces = path.exists()
    if replaces:  # no system renames a folder onto one that has content
        path.rename(aside)
    try:
        directory.rename(path)
    except BaseException:
        if replaces:
            aside.rename(path)
        raise
    _flush_names(path.parent)


def write_whole(path: Path, data: bytes, error: type[LmkernelError] = CheckpointError) -> None:
    """Write a file in place of what was there.

    Raises:
        error: the disk refuses.
    """
    temporary = _temporary(path)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, ValueError) as reason:  # a name may hold what no name may
        raise unwritable(path, reason, error) from reason
    finally:
        with contextlib.suppress(OSError, ValueError):
            temporary.unlink(missing_ok=True)


def unwritable(path: Path, reason: OSError | ValueError, error: type[_E]) -> _E:
    """What is raised when the disk refuses: ``error``, with the path and the system's reason."""
    return error(f"{path}: cannot be written: {getattr(reason, 'strerror', None) or reason}")


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.urandom(6).hex()}.part")


def _is_occupied(path: Path) -> bool:
    return path.exists() and (not path.is_dir() or any(path.iterdir()))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _flush(folder: Path) -> None:
    """Write every file below a folder to the disk, then the names.

    Without it a rename can reach the disk before the content does, and a power cut would leave a
    folder that looks complete and is not.
    """
    for path in folder.rglob("*"):
        if path.is_dir():
            _flush_names(path)
        else:
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    _flush_names(folder)


def _flush_names(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # Windows writes the names of a folder by itself
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
