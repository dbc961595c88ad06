"""The folder of a run: one process at a time writes it, and it says exactly what ran.

Constraints: whoever does not hold the lock touches nothing; the system releases the lock of a
killed process. Every file appears whole or not at all, and ``metrics.jsonl`` grows by whole lines.

- ``run.toml``: the settings, all of them; ``run-until-000200.toml`` are earlier ones, where a
  resumed run was given others
- ``environment.json``: under ``"sessions"``, what each process ran on and from which step
- ``metrics.jsonl``, ``loss.png``: see `metrics_log` and `plot`
- ``checkpoints/step-000200/``: a checkpoint, by the number of steps taken. A folder of that name
  is complete, since it is renamed into place, and away from it before it is deleted
"""

from __future__ import annotations

import json
import re
import warnings
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from lmkernel.atomic import hold, remove_directory, sweep, unwritable, write_whole
from lmkernel.checkpoints.json_files import read_object
from lmkernel.errors import RunError
from lmkernel.files import is_file, is_there, read_file
from lmkernel.training.run.metrics_log import MetricsLog

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from os import PathLike

__all__ = ["RunFolder", "has_run", "is_bare", "open_run", "steps"]

LOCK = ".lock"
_MOST_SETTINGS = 2**20
SETTINGS = "run.toml"
CHECKPOINTS = "checkpoints"
_CHECKPOINT = re.compile(r"step-(\d{6,})")


@final
class RunFolder:
    """A folder that this process holds; made by `open_run`.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = path / SETTINGS
        self.environment = path / "environment.json"
        self.metrics = path / "metrics.jsonl"
        self.plot = path / "loss.png"
        self.checkpoints = path / CHECKPOINTS

    def write_settings(self, text: str, step: int = 0) -> None:
        """Say what runs from after ``step`` on; other settings that led there are kept beside.

        Raises:
            RunError: the disk refuses.
        """
        settings = self.settings
        before = read_file(settings, _MOST_SETTINGS, RunError) if is_there(settings) else b""
        beside = self.path / f"run-until-{step:06d}.toml"
        if before and before != text.encode() and not beside.exists():  # else no step was kept
            write_whole(beside, before, RunError)
        write_whole(self.settings, text.encode(), RunError)

    def add_session(self, environment: Mapping[str, Any], step: int = 0) -> None:
        """Note what this process runs on and which step it goes on after.

        Raises:
            RunError: the disk refuses.
            CheckpointError: the file that is there is malformed.
        """
        there = read_object(self.environment, required=False, surrogates=True)
        before = there.get("sessions", [])
        if not isinstance(before, list):
            raise RunError(f"{self.environment}: sessions: expected a list, got {before!r}")
        sessions = {"sessions": [*before, {"step": step, **environment}]}
        text = json.dumps(sessions, indent=2, ensure_ascii=False) + "\n"
        write_whole(self.environment, text.encode(errors="backslashreplace"), RunError)

    def open_metrics(self, step: int = 0) -> MetricsLog:
        """The log of numbers, without what was logged after ``step``; to be closed.

        Raises:
            RunError: the disk refuses.
        """
        return MetricsLog(self.metrics, step)

    def checkpoint(self, step: int) -> Path:
        """Where the checkpoint after ``step`` belongs; `new_directory` makes it."""
        return self.checkpoints / f"step-{step:06d}"

    def latest(self) -> Path | None:
        """The checkpoint after most steps, or None."""
        there = steps(self.checkpoints)
        return self.checkpoint(there[-1]) if there else None

    def restore(self, text: str) -> None:
        """Warn of files that somebody removed while the run went on; settings are written again.

        Raises:
            RunError: the disk refuses.
        """
        for path in (self.environment, self.metrics):
            if not is_there(path):
                warnings.warn(f"{path}: removed meanwhile", stacklevel=2)
        if not is_there(self.settings):
            warnings.warn(f"{self.settings}: removed meanwhile; written again", stacklevel=2)
            write_whole(self.settings, text.encode(), RunError)

    def restore_checkpoints(self) -> None:
        """Make their folder again, and warn, where somebody removed it while the run went on.

        Raises:
            RunError: the disk refuses.
        """
        if not self.checkpoints.is_dir():
            text = f"{self.checkpoints}: removed meanwhile, with the checkpoints that were there"
            warnings.warn(text, stacklevel=2)
            try:
                self.checkpoints.mkdir()
            except OSError as error:
                raise unwritable(self.checkpoints, error, RunError) from error

    def prune(self, keep: int, best: int | None = None) -> None:
        """Delete all checkpoints but the last ``keep`` (at least one) and that of step ``best``.

        Raises:
            RunError: the disk refuses.
        """
        for step in steps(self.checkpoints)[: -max(keep, 1)]:
            if step != best:
                try:
                    remove_directory(self.checkpoint(step))
                except OSError as error:
                    raise unwritable(self.checkpoint(step), error, RunError) from error


def steps(folder: Path) -> list[int]:
    """The steps that a folder has a checkpoint of, in order; empty if it is missing."""
    there = folder.iterdir() if folder.is_dir() else ()
    names = [(_CHECKPOINT.fullmatch(path.name), path) for path in there]
    return sorted(int(name[1]) for name, path in names if name and path.is_dir())


def has_run(path: str | PathLike[str]) -> bool:
    """Whether a run began in a folder, so that it can be resumed."""
    return is_file(Path(path) / SETTINGS)


@contextmanager
def open_run(path: str | PathLike[str], *, resume: bool = False) -> Iterator[RunFolder]:
    """Hold a run's folder; a new one is made, and what a killed process left half-done is cleared.

    Args:
        path: of the folder.
        resume: go on with the run that is there; else there must be none, and no other file.

    Raises:
        RunError: another process holds it, it is not empty, it has no run to resume, or it cannot
            be written.
    """
    folder = Path(path)
    if not (folder / LOCK).exists():  # nobody's run, so nothing is written before it is looked at
        _check(folder, resume=resume)
    with hold(folder / LOCK, RunError, partial(_refuse_to_wait, folder)):
        _prepare(folder, resume=resume)
        yield RunFolder(folder)


def _refuse_to_wait(folder: Path) -> None:
    raise RunError(f"{folder}: another process is running in this folder")


def _prepare(folder: Path, *, resume: bool) -> None:
    """Under the lock: another process may have had the folder in between."""
    try:
        sweep(folder)
        sweep(folder / CHECKPOINTS)
        _check(folder, resume=resume)
        (folder / CHECKPOINTS).mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error, RunError) from error


def _check(folder: Path, *, resume: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: expected a folder for the run, got a file")
    if resume and not has_run(folder):
        raise RunError(f"{folder}: expected a run to resume, got no {SETTINGS}")
    if not resume and not is_bare(folder):
        raise RunError(f"{folder}: expected a new or empty folder; resume the run, or name another")


def is_bare(folder: Path) -> bool:
    """Whether there is no more than what a process leaves that died before its run began."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return names <= {LOCK, CHECKPOINTS} and not steps(folder / CHECKPOINTS)
