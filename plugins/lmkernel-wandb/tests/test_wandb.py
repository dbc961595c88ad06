"""Runs recorded by the tracker without a server, read back by wandb's own reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
import wandb
from lmkernel_wandb.tracker import WandbTracker

from lmkernel.errors import TrackerError
from lmkernel.training.run.metrics_log import MetricsLog
from lmkernel.training.trackers import RunInfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lmkernel.training.trackers import RunStatus

pytestmark = pytest.mark.usefixtures("offline")

SETTINGS: Mapping[str, Any] = {
    "optimizer.kind": "adamw",
    "schedule.rate": 0.1 + 0.2,
    "steps": 60,
    "remat": True,
}
READER = [sys.executable, "-m", "wandb", "leet", "inspect", "--json"]
PROGRAM = """
import sys, time
from pathlib import Path
from lmkernel.plugins import TrackerSpec, default_registry
from lmkernel.training.trackers import RunInfo
tracker = default_registry().get(TrackerSpec, "wandb").resolve().open(
    RunInfo(name="program", folder=Path(sys.argv[1])))
for step in range(1, 9):
    tracker.log(step, {"train/loss": 0.1})
if len(sys.argv) > 2:
    import os, signal
    time.sleep(2.5)
    os.kill(os.getpid(), signal.SIGKILL)
tracker.close("finished")
"""


@pytest.fixture(autouse=True)
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings and no login of whoever runs the tests, and no server."""
    theirs = {name for name in os.environ if name.startswith("WANDB_")} - {"WANDB_ERROR_REPORTING"}
    for name in theirs:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "home"))


def program(folder: Path) -> subprocess.CompletedProcess[str]:
    """A process of its own, as wandb reads the environment but once."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(folder / "run")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


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
    tracker = WandbTracker.open(run)
    for step in logged:
        tracker.log(step, {"train/loss": loss(step)})
        if step % 10 == 0:
            tracker.log(step, {"val/loss": loss(step) / 3})
    tracker.close(status)


EXPECTED = [
    [(step, loss(step)) for step in range(1, 31)],
    [(step, loss(step) / 3) for step in (10, 20, 30)],
]


def measure(folder: Path, steps: range) -> None:
    """The run's own log."""
    with MetricsLog(folder / "metrics.jsonl") as log:
        for step in steps:
            log.append(step, {"train/loss": loss(step)})


def parts(folder: Path) -> list[Path]:
    """What wandb sends one after the other: a file for each session."""
    return sorted((folder / "wandb").glob("offline-run-*/*.wandb"), key=lambda file: file.parent)


def read(file: Path) -> dict[str, list[dict[str, Any]]]:
    """What a file holds, by kind."""
    printed = subprocess.run([*READER, str(file)], check=True, capture_output=True).stdout
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in map(json.loads, printed.splitlines()):
        kinds[line["type"]].append(line[line["type"]])
    return kinds


def runs(folder: Path) -> list[dict[str, Any]]:
    """How each session begins."""
    return [run for file in parts(folder) for run in read(file)["run"]]


def series(folder: Path, *names: str) -> list[list[tuple[int, float]]]:
    """The steps and values of each name, over all sessions."""
    rows = [row for file in parts(folder) for row in read(file)["history"]]
    return [[(r["step"]["num"], r["item"][n]) for r in rows if n in r["item"]] for n in names]


def steps(folder: Path) -> list[int]:
    (found,) = series(folder, "train/loss")
    return [step for step, _ in found]


def config(run: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in run["config"]["update"].items() if name != "_wandb"}


def test_values_and_steps_come_back_to_the_bit(tmp_path: Path) -> None:
    record(tmp_path, range(1, 31))
    assert series(tmp_path, "train/loss", "val/loss") == EXPECTED


def test_settings_and_names_come_back(tmp_path: Path) -> None:
    record(tmp_path, range(1))
    (run,) = runs(tmp_path)
    assert config(run) == SETTINGS
    assert (run["display_name"], run["project"]) == ("small", "lmkernel")


def test_project_is_chosen_by_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "ablation")
    record(tmp_path, range(1))
    assert [run["project"] for run in runs(tmp_path)] == ["ablation"]


@pytest.mark.parametrize(("status", "code"), [("finished", 0), ("interrupted", 255), ("failed", 1)])
def test_status_is_an_exit_code(tmp_path: Path, status: RunStatus, code: int) -> None:
    record(tmp_path, range(1, 3), status)
    (end,) = read(*parts(tmp_path))["exit"]
    assert end.get("exit_code", 0) == code


def test_a_resumed_run_continues(tmp_path: Path) -> None:
    record(tmp_path, range(1, 16), "interrupted")
    record(tmp_path, range(16, 31), resume=15)
    assert steps(tmp_path) == list(range(1, 31))
    first, second = runs(tmp_path)
    assert first["run_id"] == second["run_id"]
    assert second["resume"]


def test_steps_computed_again_are_not_doubled(tmp_path: Path) -> None:
    record(tmp_path, range(1, 20), "failed")
    record(tmp_path, range(8, 15), "failed", resume=7)
    record(tmp_path, range(8, 31), resume=7)
    assert series(tmp_path, "train/loss", "val/loss") == EXPECTED


def test_settings_of_a_resumed_run_are_its_own(tmp_path: Path) -> None:
    record(tmp_path, range(1, 3), "interrupted")
    record(tmp_path, range(3, 5), resume=2, settings={**SETTINGS, "steps": 90})
    assert [config(run)["steps"] for run in runs(tmp_path)] == [60, 90]


def test_a_run_begun_anew_is_another(tmp_path: Path) -> None:
    record(tmp_path, range(1, 3), "failed")
    record(tmp_path, range(1, 3))
    first, second = runs(tmp_path)
    assert first["run_id"] != second["run_id"]


@pytest.mark.parametrize("resume", [2, 8])
def test_a_killed_run_continues(tmp_path: Path, resume: int) -> None:
    """What it had written is there once, and the rest is taken from the run's own log."""
    measure(tmp_path, range(1, 9))
    killed = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path), "kill"], check=False)
    assert killed.returncode < 0
    assert steps(tmp_path) == list(range(1, 8))
    record(tmp_path, range(resume + 1, 11), resume=resume)
    assert steps(tmp_path) == list(range(1, 11))


def test_a_tracker_new_to_a_resumed_run_has_all_of_it(tmp_path: Path) -> None:
    measure(tmp_path, range(1, 9))
    record(tmp_path, range(6, 8), resume=5)
    assert series(tmp_path, "train/loss") == [[(step, loss(step)) for step in range(1, 8)]]


def test_a_run_of_the_caller_stays(tmp_path: Path) -> None:
    mine: Any = wandb.init(dir=str(tmp_path), settings=wandb.Settings(silent=True, console="off"))
    record(tmp_path / "run", range(1, 3))
    kept = wandb.run is mine
    mine.finish()
    assert kept


def test_all_is_in_one_folder_and_nothing_on_stdout(tmp_path: Path) -> None:
    done = program(tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"run", "home"}
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["wandb"]
    assert steps(tmp_path / "run") == list(range(1, 9))


@pytest.mark.parametrize(("said", "reports"), [("", "False"), ("true", "True")])
def test_wandb_reports_errors_to_its_makers_only_if_told(
    monkeypatch: pytest.MonkeyPatch, said: str, reports: str
) -> None:
    monkeypatch.delenv("WANDB_ERROR_REPORTING")
    if said:
        monkeypatch.setenv("WANDB_ERROR_REPORTING", said)
    code = "import lmkernel_wandb.tracker, wandb.env; print(wandb.env.error_reporting_enabled())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == reports


def test_who_is_not_logged_in_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    done = program(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    error, tracker, message = done.stderr.splitlines()[-1].split(": ", 2)
    assert (error, tracker) == ("lmkernel.errors.TrackerError", "wandb")
    assert message.startswith("No API key configured")
    assert "; run: wandb login, or set WANDB_MODE=offline" in message


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "wandb").write_text("a file")
    with pytest.raises(TrackerError, match=rf"wandb: .*{tmp_path}/wandb"):
        WandbTracker.open(RunInfo(name="refused", folder=tmp_path))


def test_a_part_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    record(tmp_path, range(1, 3), "failed")
    (file,) = parts(tmp_path)
    file.write_bytes(b"something else")
    with pytest.raises(TrackerError, match=f"cannot read {file.parent}: .*move it elsewhere"):
        WandbTracker.open(RunInfo(name="small", folder=tmp_path, step=2))
