"""The tracker ``"mlflow"``: a run as a run of MLflow, continued under its id when it is resumed.

Constraints: numbers are committed once a second, since a commit takes MLflow as long as a short
step. What a killed run had not committed comes from the run's own log when it is resumed. MLflow
can't take a value back, so the first value of a step stays where a resumed run computes it again.
"""

from __future__ import annotations

import contextlib
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Self, final

from lmkernel.errors import TrackerError
from lmkernel.training.trackers import Tracker
from lmkernel_mlflow.library import Metric, MlflowClient, MlflowException
from lmkernel_mlflow.record import connect, experiment, record_metrics, record_settings, steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lmkernel.training.trackers import RunInfo, RunStatus

__all__ = ["MlflowTracker"]

_STATUS: Mapping[RunStatus, str] = MappingProxyType(
    {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
)


_PAUSE = 1.0
"""Seconds between commits."""


@final
class MlflowTracker(Tracker):
    """Writes to one run of MLflow.

    Args:
        client: client of the server or database.
        run_id: id of the run there.
        recorded: last step of each metric that is recorded already.
    """

    def __init__(self, client: MlflowClient, run_id: str, recorded: Mapping[str, int]) -> None:
        self._client = client
        self._run_id = run_id
        self._recorded = recorded
        self._queue: list[Metric] = []
        self._committed = -_PAUSE

    @classmethod
    def open(cls, run: RunInfo) -> Self:
        """Create a run, or continue the one whose id is in ``mlflow/run-id`` of the folder.

        Raises:
            TrackerError: the server cannot be reached, or does not know the run.
        """
        folder = run.folder / "mlflow"
        with _explain_errors():
            folder.mkdir(parents=True, exist_ok=True)
            client = connect(folder)
            run_id = _identity(client, folder, run)
            record_settings(client, run_id, run.settings)
            tracker = cls(client, run_id, steps(client, run_id))
        for step, values in run.measured():
            tracker.log(step, values)
        return tracker

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Queue the numbers whose step is new, and commit once a second.

        Raises:
            TrackerError: the server or the disk refuses.
        """
        now = int(time.time() * 1000)
        fresh = [name for name in values if step > self._recorded.get(name, -1)]
        self._queue += [Metric(name, float(values[name]), now, step) for name in fresh]
        if time.monotonic() - self._committed >= _PAUSE:
            self._commit()

    def close(self, status: RunStatus) -> None:
        """Commit the queue and record the status of the run.

        Raises:
            TrackerError: the server or the disk refuses.
        """
        try:
            self._commit()
        finally:
            with _explain_errors():
                self._client.set_terminated(self._run_id, _STATUS[status])

    def _commit(self) -> None:
        queue, self._queue = self._queue, []
        with _explain_errors():
            record_metrics(self._client, self._run_id, queue)
        self._committed = time.monotonic()


def _identity(client: MlflowClient, folder: Path, run: RunInfo) -> str:
    """The id of the run in MLflow, whose status becomes running."""
    file = folder / "run-id"
    if run.step and file.exists():
        run_id = file.read_text("utf-8").strip()
        client.update_run(run_id, status="RUNNING")
        return run_id
    created = client.create_run(experiment(client, folder), run_name=run.name)
    file.write_text(f"{created.info.run_id}\n", "utf-8")
    return str(created.info.run_id)


@contextlib.contextmanager
def _explain_errors() -> Iterator[None]:
    """Turn errors of MLflow and the disk into a `TrackerError` that says what to do."""
    try:
        yield
    except (MlflowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise TrackerError(
            f"MLflow: {reason}; see that MLFLOW_TRACKING_URI names a server that can be "
            "reached and, for a resumed run, knows it; without it the record is in the run's folder"
        ) from error
