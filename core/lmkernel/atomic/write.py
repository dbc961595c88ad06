"""Files and folders written whole: made in a workspace, flushed, put in their place in one step."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lmkernel.atomic.exchange import exchange
from lmkernel.atomic.workspace import FORMER, sweep, workspace
from lmkernel.errors import CheckpointError, LmkernelError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["new_directory", "publish", "require_writable", "unwritable", "write_whole"]

_E = TypeVar("_E", bound=LmkernelError)


@contextlib.contextmanager
def new_directory(
    path: Path, *, overwrite: bool = False, error: type[LmkernelError] = CheckpointError
) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``path`` when the block ends well.

    Its parent is the place for temporary files: it lies on the same file system, is this call's
    alone, and is removed afterwards.

    Args:
        path: the folder to make.
        overwrite: whether it may replace what is there; an empty folder may always be replaced.
        error: the type of what is raised.

    Raises:
        error: ``path`` is there and may not be replaced, be it that it came while the block ran;
            is a file or the current folder; or the disk refuses.
    """
    new: list[Path] = []
    try:
        path = _place(path, overwrite=overwrite, error=error)
        new = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        with workspace(path) as made:
            made.mkdir()
            yield made
            _put(made, path, overwrite=overwrite, error=error)
    except OSError as reason:
        raise unwritable(path, reason, error) from reason
    finally:
        for folder in new:  # the innermost first; those that hold something now stay
            with contextlib.suppress(OSError):
                folder.rmdir()


def _place(path: Path, *, overwrite: bool, error: type[LmkernelError]) -> Path:
    """Where a new folder belongs, if it may go there; what a kill took away is back first."""
    if "\0" in str(path):
        raise unwritable(path, ValueError("embedded null byte"), error)
    sweep(path.absolute().parent)
    _require_free(path, overwrite=overwrite, error=error)
    # what a link leads to is replaced, the link stays; a loop of links is the system's to refuse
    return Path(os.path.realpath(path))


def _require_free(path: Path, *, overwrite: bool, error: type[LmkernelError]) -> None:
    """Refuse what is there and may not be replaced."""
    if path.exists() and (not path.is_dir() or path.samefile(Path.cwd())):
        kind = "the current folder" if path.is_dir() else "a file"
        raise error(f"{path}: expected a folder of its own, got {kind}, which is never replaced")
    if path.exists() and any(path.iterdir()) and not overwrite:
        raise error(f"{path} is there already and not empty; overwrite (--overwrite) replaces it")


def _put(made: Path, path: Path, *, overwrite: bool, error: type[LmkernelError]) -> None:
    """Publish, and name what came while the work was done, where that is why it is refused."""
    try:
        publish(made, path, overwrite=overwrite)
    except OSError:
        _require_free(path, overwrite=overwrite, error=error)
        raise


def publish(made: Path, path: Path, *, overwrite: bool) -> None:
    """Flush a folder that was made in a workspace, and put it in its place in one step.

    Args:
        made: the folder in the workspace; with ``overwrite``, what was there is left there.
        path: its place.
        overwrite: whether it may take the place of a folder that has content.

    Raises:
        OSError: the disk refuses, or something is there that may not be replaced, be it since a
            moment; nothing has changed.
    """
    if made.is_symlink():  # who filled it has put a link in its place
        raise OSError(errno.ELOOP, "expected a folder, got a link")
    _flush(made)
    if not overwrite or not path.is_dir():
        _take_free_place(made, path)
    elif not exchange(made, path):
        _replace(made, path)
    _flush_names(path.parent)


def _take_free_place(made: Path, path: Path) -> None:
    """Rename a folder onto nothing or an empty folder; the system refuses any other place."""
    try:
        made.rename(path)
    except FileExistsError:  # Windows renames onto no folder, be it empty
        path.rmdir()  # refused where it has content
        made.rename(path)


def _replace(made: Path, path: Path) -> None:
    """In two renames: no system renames a folder onto one that has content."""
    former = made.parent / FORMER / path.name
    former.parent.mkdir()
    path.rename(former)
    try:
        made.rename(path)
    except BaseException:
        former.rename(path)
        raise


def write_whole(path: Path, data: bytes, error: type[LmkernelError] = CheckpointError) -> None:
    """Write a file in place of what was there; what a link leads to is replaced, the link stays.

    A device or a pipe, such as ``/dev/null``, is no file that another could replace: the data go
    into it.

    Raises:
        error: the disk refuses, or nobody reads the pipe.
    """
    try:
        if _takes_streams(path):
            _write_into(path, data)
            return
        place = Path(os.path.realpath(path))
        with workspace(place) as made:
            with made.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            made.replace(place)
            _flush_names(place.parent)
    except (OSError, ValueError) as reason:  # a name may hold what no name may
        raise unwritable(path, reason, error) from reason


def require_writable(path: Path, error: type[LmkernelError]) -> None:
    """Try whether a file or folder could be made or replaced: long work asks before it begins.

    Raises:
        error: the disk refuses.
    """
    try:
        if _takes_streams(path):
            if not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return
        there = next(folder for folder in path.absolute().parents if folder.exists())
        with workspace(there / path.name) as made:
            made.touch()
    except (OSError, ValueError) as reason:
        raise unwritable(path, reason, error) from reason


def _takes_streams(path: Path) -> bool:
    """Whether a device, a pipe or a socket is there: neither a file nor a folder."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _write_into(path: Path, data: bytes) -> None:
    # opened without waiting, so that a pipe that nobody reads refuses in place of waiting for ever
    handle = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    with open(handle, "wb") as file:  # noqa: PTH123 - a number, not a path
        os.set_blocking(handle, True)
        file.write(data)


def unwritable(path: Path, reason: OSError | ValueError, error: type[_E]) -> _E:
    """What is raised when the disk refuses: ``error``, with the path and the system's reason."""
    return error(f"{path}: cannot be written: {getattr(reason, 'strerror', None) or reason}")


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
