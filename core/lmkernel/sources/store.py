"""The pulled models on disk, each put there whole or not at all.

Constraints: what is visible is complete; two processes never pull one model at once; whatever a
killed process leaves behind is cleared by the next pull (see `lmkernel.atomic`). Beside the folder
NAME lies, hidden from every listing, ``.NAME.lock``, held while NAME is pulled, and released by the
system if its holder dies.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from lmkernel.atomic import hold
from lmkernel.errors import InputError, PullError
from lmkernel.sources.home import models_home, writable_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmkernel.progress import Progress

__all__ = ["claim", "folder_of", "pulled_models", "size_of"]

_LONGEST = 240  # bytes of an encoded name, so that a name with ".lock" fits the disk


def folder_of(name: str) -> Path:
    """The folder that keeps a model; characters such as ``:`` and ``/`` are percent-encoded.

    Raises:
        InputError: the name is too long for a folder.
    """
    encoded = quote(name, safe="@", errors="surrogateescape")
    if len(encoded) > _LONGEST:
        raise InputError(f"expected a model's name of at most {_LONGEST} bytes, got {name!r}")
    return models_home() / encoded


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
    """Hold the lock of a model, so that two processes never pull it at once; yields its folder."""
    writable_folder("models")
    target = folder_of(name)

    def wait() -> None:
        progress.say(f"waiting for another process that pulls {name}")

    with hold(target.with_name(f".{target.name}.lock"), PullError, wait):
        yield target
