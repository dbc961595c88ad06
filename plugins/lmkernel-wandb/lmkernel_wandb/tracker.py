"""The tracker ``"wandb"``: a run in Weights & Biases, continued under its id when it is resumed.

Constraints: the user's mode, project and entity are respected. wandb writes once a second and holds
back each step until the next; what a killed run had not written comes from the run's own log when
it is resumed. wandb can't take a value back, so the first value of a step stays where a resumed run
computes it again. Nothing is printed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Self, final

from lmkernel.errors import TrackerError
from lmkernel.training.trackers import Tracker
from lmkernel_wandb.library import Error, Run, Settings, init
from lmkernel_wandb.record import last_step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lmkernel.training.trackers import RunInfo, RunStatus

__all__ = ["WandbTracker"]

_EXIT: Mapping[RunStatus, int] = MappingProxyType({"finished": 0, "interrupted": 255, "failed": 1})
"""The exit code that wandb is given; 255 is its code for an interrupt."""


@final
class WandbTracker(Tracker):
    """Writes to one run of wandb.

    Args:
        run: run of wandb, already started.
        recorded: last step that is recorded already.
    """

    def __init__(self, run: Run, recorded: int) -> None:
        self._run = run
        self._recorded = recorded

    @classmethod
    def open(cls, run: RunInfo) -> Self:
        """Begin a run, or continue the one whose id is in the file ``wandb/run-id`` of the folder.

        Raises:
            TrackerError: not logged in, no connection, or the folder cannot be written.
        """
        folder = run.folder / "wandb"
        with _explain_errors():
            folder.mkdir(parents=True, exist_ok=True)
            identity = _identity(folder, run)
            before = last_step(folder, identity) if run.step else -1
            begun = _begin(run, identity)
        tracker = cls(begun, before if begun.offline else begun.starting_step - 1)
        for step, values in run.measured():
            tracker.log(step, values)
        return tracker

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record the numbers if their step is new.

        Raises:
            TrackerError: wandb refuses.
        """
        if step > self._recorded:
            with _explain_errors():
                self._run.log({name: float(value) for name, value in values.items()}, step=step)

    def close(self, status: RunStatus) -> None:
        """Write or send what is left, and record the status of the run.

        Raises:
            TrackerError: wandb refuses.
        """
        with _explain_errors():
            self._run.finish(exit_code=_EXIT[status])


def _identity(folder: Path, run: RunInfo) -> str:
    """The id of the run in wandb: the old one if it is resumed, else a new one."""
    file = folder / "run-id"
    if not (run.step and file.exists()):
        file.write_text(f"{secrets.token_hex(8)}\n", "utf-8")
    return file.read_text("utf-8").strip()


def _begin(run: RunInfo, identity: str) -> Run:
    return init(
        project=os.environ.get("WANDB_PROJECT") or "lmkernel",
        name=run.name,
        id=identity,
        dir=str(run.folder),
        config=dict(run.settings),
        resume="allow",
        reinit="create_new",  # a run that the caller has begun stays as it is
        settings=Settings(console="off", quiet=True, x_transaction_log_flush_interval=1.0),
    )


@contextlib.contextmanager
def _explain_errors() -> Iterator[None]:
    """Turn errors of wandb and the disk into a `TrackerError` that says what to do."""
    try:
        yield
    except (Error, OSError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise TrackerError(
            f"wandb: {reason}; run: wandb login, or set WANDB_MODE=offline to record "
            "without a server"
        ) from error
