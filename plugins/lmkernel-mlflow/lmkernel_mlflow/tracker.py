"""The tracker ``"mlflow"``: a run as a run of MLflow, continued under its id when it is resumed.

Constraints: each step is committed when `log` returns, so a killed run keeps it; MLflow can't take
a value back, so of a step that a resumed run computes again the value recorded first stays.
"""

from __future__ import annotations

import contextlib
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Self, final

from lmkernel.errors import TrackerError
from lmkernel.training.trackers import Tracker
from lmkernel_mlflow.library import Metric, MlflowClient, MlflowException
from lmkernel_mlflow.record import connect, experiment, record_settings, steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lmkernel.training.trackers import RunInfo, RunStatus

__all__ = ["MlflowTracker"]

_STATUS: Mapping[RunStatus, str] = MappingProxyType(
    {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
)


@final
class MlflowTracker(Tracker):
    """Writes to one run of MLflow.

    Args:
        client: of the server or database.
        run_id: of the run there.
        recorded: the last step of each metric that is there already.
    """

    def __init__(self, client: MlflowClient, run_id: str, recorded: Mapping[str, int]) -> None:
        self._client = client
        self._run_id = run_id
        self._recorded = recorded

    @classmethod
    def open(cls, run: RunInfo) -> Self:
        """Create a run, or continue that whose id is in the file ``mlflow/run-id`` of the folder.

        Raises:
            TrackerError: the server cannot be reached, or does not know the run.
        """
        folder = run.folder / "mlflow"
        with _explained():
            folder.mkdir(parents=True, exist_ok=True)
            client = connect(folder)
            run_id = _identity(client, folder, run)
            record_settings(client, run_id, run.settings)
            return cls(client, run_id, steps(client, run_id))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Commit the numbers whose step is new.

        Raises:
            TrackerError: the server or the disk refuses.
        """
        now = int(time.time() * 1000)
        fresh = [name for name in values if step > self._recorded.get(name, -1)]
        metrics = [Metric(name, float(values[name]), now, step) for name in fresh]
        with _explained():
            self._client.log_batch(self._run_id, metrics=metrics)

    def close(self, status: RunStatus) -> None:
        """Say how the run ended.

        Raises:
            TrackerError: the server or the disk refuses.
        """
        with _explained():
            self._client.set_terminated(self._run_id, _STATUS[status])


def _identity(client: MlflowClient, folder: Path, run: RunInfo) -> str:
    """The id of the run in MLflow, which is running from now on."""
    file = folder / "run-id"
    if run.step and file.exists():
        run_id = file.read_text("utf-8").strip()
        client.update_run(run_id, status="RUNNING")
        return run_id
    created = client.create_run(experiment(client, folder), run_name=run.name)
    file.write_text(f"{created.info.run_id}\n", "utf-8")
    return str(created.info.run_id)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Say what to do about what MLflow refuses."""
    try:
        yield
    except (MlflowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise TrackerError(
            f"tracker 'mlflow': {reason}; see that MLFLOW_TRACKING_URI names a server that can be "
            "reached and, for a resumed run, knows it; without it the record is in the run's folder"
        ) from error
