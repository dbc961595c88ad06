"""Runs recorded by the tracker, read back by MLflow's own client."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from lmkernel_mlflow.tracker import MlflowTracker
from mlflow import MlflowClient

from lmkernel.errors import TrackerError
from lmkernel.training.run.metrics_log import MetricsLog
from lmkernel.training.trackers import RunInfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlflow.entities import Run

    from lmkernel.training.trackers import RunStatus

pytestmark = [
    pytest.mark.usefixtures("offline"),
    # MLflow's own tables, once they are imported beside SQLAlchemy 2.1
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]

SETTINGS: Mapping[str, Any] = {
    "optimizer.kind": "adamw",
    "schedule.rate": 0.1 + 0.2,
    "steps": 60,
    "remat": True,
}
PROGRAM = """
import os
import sys
del os.environ["PYTEST_CURRENT_TEST"]
from pathlib import Path
from lmkernel.plugins import TrackerSpec, default_registry
from lmkernel.training.trackers import RunInfo
tracker = default_registry().get(TrackerSpec, "mlflow").resolve().open(
    RunInfo(name="program", folder=Path(sys.argv[1])))
tracker.log(1, {"train/loss": 0.1})
tracker.log(2, {"train/loss": 0.2})
if len(sys.argv) > 2:
    import signal
    os.kill(os.getpid(), signal.SIGKILL)
tracker.close("finished")
"""


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of whoever runs the tests; in a child, nothing that says that it is a test."""
    for name in ("TRACKING_URI", "EXPERIMENT_NAME", "DISABLE_TELEMETRY"):
        monkeypatch.delenv(f"MLFLOW_{name}", raising=False)
    for name in ("CI", "DO_NOT_TRACK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, which takes MLflow seconds to make."""
    file = tmp_path_factory.mktemp("database") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def folder(database: Path, tmp_path: Path) -> Path:
    """The folder of a run, in which there is an empty database."""
    run = tmp_path / "run 1"
    (run / "mlflow").mkdir(parents=True)
    shutil.copy(database, run / "mlflow" / "mlflow.db")
    return run


def loss(step: int) -> float:
    return 1 / (step + 3)


def record(
    folder: Path,
    logged: range,
    status: RunStatus = "finished",
    resume: int = 0,
    settings: Mapping[str, Any] = SETTINGS,
) -> None:
    """One session: what a trainer does with a tracker."""
    run = RunInfo(name="small", folder=folder, settings=settings, step=resume)
    tracker = MlflowTracker.open(run)
    for step in logged:
        tracker.log(step, {"train/loss": loss(step)})
        if step % 10 == 0:
            tracker.log(step, {"val/loss": loss(step) / 3})
    tracker.close(status)


def measure(folder: Path, steps: range) -> None:
    """The run's own log."""
    with MetricsLog(folder / "metrics.jsonl") as log:
        for step in steps:
            log.append(step, {"train/loss": loss(step)})


def client(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder}/mlflow/mlflow.db")


def only(folder: Path) -> Run:
    """The one run that is there."""
    experiments = [e.experiment_id for e in client(folder).search_experiments()]
    (run,) = client(folder).search_runs(experiments)
    return run


def series(folder: Path, name: str = "train/loss") -> list[tuple[int, float]]:
    history = client(folder).get_metric_history(only(folder).info.run_id, name)
    return sorted((metric.step, metric.value) for metric in history)


def test_values_and_steps_come_back_to_the_bit(folder: Path) -> None:
    record(folder, range(1, 31))
    assert series(folder) == [(step, loss(step)) for step in range(1, 31)]
    assert series(folder, "val/loss") == [(step, loss(step) / 3) for step in (10, 20, 30)]


def test_settings_come_back(folder: Path) -> None:
    record(folder, range(1))
    assert only(folder).data.params == {name: str(value) for name, value in SETTINGS.items()}


def test_more_settings_than_mlflow_takes_at_once_come_back(folder: Path) -> None:
    many = {f"part.{i}": i for i in range(250)}
    record(folder, range(1), settings=many)
    assert only(folder).data.params == {name: str(value) for name, value in many.items()}


def test_an_empty_setting_comes_back(folder: Path) -> None:
    record(folder, range(1), settings={"note": ""})
    assert only(folder).data.params["note"] == ""


def test_run_is_named_in_an_experiment(folder: Path) -> None:
    record(folder, range(1))
    run = only(folder)
    assert run.info.run_name == "small"
    assert client(folder).get_experiment(run.info.experiment_id).name == "lmkernel"
    assert run.info.artifact_uri.startswith((folder / "mlflow" / "artifacts").as_uri())


def test_experiment_is_chosen_by_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "ablation")
    record(folder, range(1))
    assert client(folder).get_experiment(only(folder).info.experiment_id).name == "ablation"


def test_server_is_chosen_by_environment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow/mlflow.db")
    record(tmp_path / "other", range(1, 5))
    assert series(folder) == [(step, loss(step)) for step in range(1, 5)]


@pytest.mark.parametrize(
    ("status", "known"),
    [("finished", "FINISHED"), ("interrupted", "KILLED"), ("failed", "FAILED")],
)
def test_status_comes_back(folder: Path, status: RunStatus, known: str) -> None:
    record(folder, range(1, 3), status)
    assert only(folder).info.status == known


def test_an_open_run_is_running(folder: Path) -> None:
    record(folder, range(1, 3), "interrupted")
    tracker = MlflowTracker.open(RunInfo(name="small", folder=folder, step=2))
    assert only(folder).info.status == "RUNNING"
    tracker.close("finished")
    assert only(folder).info.status == "FINISHED"


def test_a_resumed_run_continues(folder: Path) -> None:
    record(folder, range(1, 16), "interrupted")
    record(folder, range(16, 31), resume=15)
    assert series(folder) == [(step, loss(step)) for step in range(1, 31)]
    assert series(folder, "val/loss") == [(step, loss(step) / 3) for step in (10, 20, 30)]


def test_steps_computed_again_are_not_doubled(folder: Path) -> None:
    record(folder, range(1, 20), "failed")
    record(folder, range(8, 31), resume=7)
    assert series(folder) == [(step, loss(step)) for step in range(1, 31)]
    assert series(folder, "val/loss") == [(step, loss(step) / 3) for step in (10, 20, 30)]


def test_a_setting_changed_by_a_resumed_run_is_a_tag(folder: Path) -> None:
    record(folder, range(1, 3), "interrupted")
    changed = {**SETTINGS, "steps": 90, "data.files": "a.txt"}
    record(folder, range(3, 5), resume=2, settings=changed)
    data = only(folder).data
    assert (data.params["steps"], data.tags["steps"]) == ("60", "90")
    assert data.params["data.files"] == "a.txt"
    assert "remat" not in data.tags


def test_a_run_begun_anew_is_another(folder: Path) -> None:
    record(folder, range(1, 3), "failed")
    first = only(folder)
    record(folder, range(1, 3))
    runs = client(folder).search_runs([first.info.experiment_id])
    assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED"]


def test_a_killed_run_continues(folder: Path) -> None:
    """What it had committed is there once, and the rest is taken from the run's own log."""
    measure(folder, range(1, 4))
    killed = subprocess.run([sys.executable, "-c", PROGRAM, str(folder), "kill"], check=False)
    assert killed.returncode < 0
    assert series(folder) == [(1, 0.1)]
    record(folder, range(4, 6), resume=3)
    assert series(folder) == [(1, 0.1), *((step, loss(step)) for step in range(2, 6))]


def test_what_is_logged_is_committed_within_two_seconds(folder: Path) -> None:
    tracker = MlflowTracker.open(RunInfo(name="slow", folder=folder))
    tracker.log(1, {"train/loss": loss(1)})
    tracker.log(2, {"train/loss": loss(2)})
    time.sleep(1.1)
    tracker.log(3, {"train/loss": loss(3)})
    assert series(folder) == [(step, loss(step)) for step in (1, 2, 3)]
    tracker.close("finished")


def test_a_tracker_new_to_a_resumed_run_has_all_of_it(folder: Path) -> None:
    measure(folder, range(1, 1501))
    record(folder, range(1491, 1495), resume=1490)
    assert series(folder) == [(step, loss(step)) for step in range(1, 1495)]


def test_all_is_in_one_folder_and_nothing_is_printed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "run")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mlflow"]
    assert series(tmp_path / "run") == [(1, 0.1), (2, 0.2)]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow").write_text("a file")
    with pytest.raises(TrackerError, match=rf"MLflow: .*{tmp_path}/mlflow"):
        MlflowTracker.open(RunInfo(name="refused", folder=tmp_path))


def test_a_server_of_no_known_kind_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "gopher://server")
    with pytest.raises(TrackerError, match=r"MLflow: .*gopher.*MLFLOW_TRACKING_URI"):
        MlflowTracker.open(RunInfo(name="refused", folder=tmp_path))


def test_a_run_that_the_server_does_not_know_is_explained(folder: Path) -> None:
    (folder / "mlflow" / "run-id").write_text("0" * 32)
    with pytest.raises(TrackerError, match=r"MLflow: .*0{32}.*resumed run, knows it"):
        MlflowTracker.open(RunInfo(name="unknown", folder=folder, step=5))


def test_a_name_that_mlflow_refuses_is_explained(folder: Path) -> None:
    tracker = MlflowTracker.open(RunInfo(name="names", folder=folder))
    with pytest.raises(TrackerError, match=r"MLflow: .*share of peak, %"):
        tracker.log(1, {"share of peak, %": 0.5})
    tracker.close("failed")
