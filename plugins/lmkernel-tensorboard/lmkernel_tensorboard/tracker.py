"""The tracker ``"tensorboard"``: a run as event files in the folder ``tensorboard`` of the run.

Constraints: when `log` returns, the operating system has the numbers, so a killed run keeps them.
Each session writes a file of its own, since the last record of a killed one may be cut. Steps that
a resumed run computes again replace the earlier ones, by TensorBoard's own rule for restarts.
TensorBoard's `EventFileWriter` would write with a delay, and import TensorFlow if it is installed.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Self, final

from tensorboard.summary.writer.record_writer import RecordWriter

from lmkernel.errors import TrackerError
from lmkernel.training.trackers import Tracker
from lmkernel_tensorboard import events

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tensorboard.compat.proto.event_pb2 import Event

    from lmkernel.training.trackers import RunInfo, RunStatus

__all__ = ["TensorBoardTracker"]


@final
class TensorBoardTracker(Tracker):
    """Writes one event file; `open` begins it.

    Args:
        file: file to write, which does not exist yet.
        step: step after which the run begins or resumes.
    """

    def __init__(self, file: Path, step: int) -> None:
        self._file = file
        self._step = step
        with _explain_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            self._writer = RecordWriter(file.open("xb"))

    @classmethod
    def open(cls, run: RunInfo) -> Self:
        """Open a new file, which readers sort behind the others.

        The first file of a resumed run also gets what the run has measured before.

        Raises:
            TrackerError: the folder cannot be written.
        """
        folder = run.folder / "tensorboard"
        missed = [] if any(folder.glob("*.lmkernel")) else run.measured()
        tracker = cls(folder / f"events.out.tfevents.{time.time_ns()}.lmkernel", run.step)
        first = run.step + 1 if run.step else 0
        tracker._write(*events.beginning(first), events.settings(run.step, run.settings))
        tracker._write(*(events.numbers(step, values) for step, values in missed))
        return tracker

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append the numbers.

        Raises:
            TrackerError: the disk refuses.
        """
        self._step = step
        self._write(events.numbers(step, values))

    def close(self, status: RunStatus) -> None:
        """Append the status and close the file.

        Raises:
            TrackerError: the disk refuses.
        """
        ending = [events.end(self._step)] if status == "finished" else []
        with _explain_errors(self._file), contextlib.closing(self._writer):
            self._write(events.status(self._step, status), *ending)

    def _write(self, *written: Event) -> None:
        with _explain_errors(self._file):
            for event in written:
                self._writer.write(event.SerializeToString())
            self._writer.flush()


@contextlib.contextmanager
def _explain_errors(file: Path) -> Iterator[None]:
    """Turn errors of the disk into a `TrackerError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise TrackerError(
            f"TensorBoard: cannot write {file}: {error.strerror or error}; make room or "
            "give access there, or train without this tracker"
        ) from error
