"""The pulled models on disk, each put there whole or not at all.

Constraints: what is visible is complete; two processes never write one model at once; whatever a
killed process leaves behind is cleared by the next pull of that model, and a model that was being
replaced is still there. Beside the folder NAME there may be, hidden from every listing:

- ``.NAME.lock``, held while NAME is written, and released by the system if its holder dies;
- ``.NAME.part``, the workspace of the pull that holds the lock;
- ``.NAME.old``, the former NAME, between its renaming and that of its replacement.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from lmkernel.atomic import put_in_place
from lmkernel.sources.home import models_home, writable_models_home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmkernel.progress import Progress

__all__ = ["claim", "folder_of", "publish", "pulled_models", "size_of"]


def folder_of(name: str) -> Path:
    """The folder that keeps a model; characters such as ``:`` and ``/`` are percent-encoded."""
    return models_home() / quote(name, safe="@")


def pulled_models() -> dict[str, Path]:
    """The models that are there, by name, each with its folder."""
    there = models_home()
    folders = sorted(there.iterdir()) if there.is_dir() else []
    return {unquote(f.name): f for f in folders if f.is_dir() and not f.name.startswith(".")}


def size_of(directory: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


@contextmanager
def claim(name: str, progress: Progress) -> Iterator[Path]:
    """Hold the lock of one model; yields an empty workspace, which is removed at the end."""
    writable_models_home()
    target = folder_of(name)
    workspace = _beside(target, "part")
    with _lock(target, f"waiting for another process that pulls {name}", progress):
        _settle(target)
        workspace.mkdir()
        try:
            yield workspace
        finally:
            _settle(target)


def publish(directory: Path, target: Path) -> None:
    """Make a finished folder visible as ``target``, replacing what was there.

    To be called inside `claim`, which removes the former folder, or puts it back after a kill.
    """
    put_in_place(directory, target, _beside(target, "old"))


def _beside(target: Path, kind: str) -> Path:
    return target.with_name(f".{target.name}.{kind}")


@contextmanager
def _lock(target: Path, notice: str, progress: Progress) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(_beside(target, "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.say(notice)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _settle(target: Path) -> None:
    """Bring a model to one of its two states, there or not there, with nothing beside it."""
    old = _beside(target, "old")
    if old.exists() and not target.exists():
        old.replace(target)
    for leftover in (old, _beside(target, "part")):
        if leftover.exists():
            shutil.rmtree(leftover)
