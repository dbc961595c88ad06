"""The checkpoints of a run, folders named ``step-000200`` by the number of steps taken.

Constraints: a folder of that name is complete, since `lmkernel.checkpoints.atomic` renames it into
place; whatever a killed process leaves behind has another name, also while it deletes.
"""

from __future__ import annotations

import re
import secrets
import shutil
from typing import TYPE_CHECKING

from lmkernel.training.run.files import unwritable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["latest", "prune", "step_folder", "steps", "sweep"]

_NAME = re.compile(r"step-(\d{6,})")
_LEFT = re.compile(r"\.(.+)\.[0-9a-f]{12}\.(part|old)")


def step_folder(folder: Path, step: int) -> Path:
    """Where the checkpoint after a step belongs."""
    return folder / f"step-{step:06d}"


def steps(folder: Path) -> list[int]:
    """The steps that there is a checkpoint of, in order; empty if the folder is missing."""
    there = folder.iterdir() if folder.is_dir() else ()
    found = [(_NAME.fullmatch(path.name), path) for path in there]
    return sorted(int(name[1]) for name, path in found if name and path.is_dir())


def latest(folder: Path) -> Path | None:
    """The checkpoint after most steps, or None."""
    return step_folder(folder, there[-1]) if (there := steps(folder)) else None


def prune(folder: Path, keep: int, best: int | None = None) -> None:
    """Delete all checkpoints but the last ``keep`` (at least one) and that of step ``best``.

    Raises:
        RunError: the disk refuses.
    """
    there = steps(folder)
    for step in there[: -max(keep, 1)]:
        if step != best:
            _delete(step_folder(folder, step))


def sweep(folder: Path) -> None:
    """Clear what a killed process left; what it was replacing is put back if it is missing."""
    for path in folder.iterdir() if folder.is_dir() else ():
        left = _LEFT.fullmatch(path.name)
        if left and left[2] == "old" and not (folder / left[1]).exists():
            path.rename(folder / left[1])
        elif left and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif left:
            path.unlink(missing_ok=True)


def _delete(path: Path) -> None:
    """Take the name away first, so that half a checkpoint never has one."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        path.rename(aside)
    except OSError as error:
        raise unwritable(path, error) from error
    shutil.rmtree(aside, ignore_errors=True)
