"""Runs recorded by the tracker, read back by TensorBoard's own reader."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from lmkernel_tensorboard.tracker import TensorBoardTracker
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.util.tensor_util import make_ndarray

from lmkernel.errors import TrackerError
from lmkernel.training.run.metrics_log import MetricsLog
from lmkernel.training.trackers import RunInfo

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.training.trackers import RunStatus

pytestmark = pytest.mark.usefixtures("offline")

SETTINGS = {"optimizer.kind": "adamw", "schedule.rate": 0.1 + 0.2, "steps": 60, "remat": True}
PROGRAM = """
import sys
from pathlib import Path
from lmkernel.plugins import TrackerSpec, default_registry
from lmkernel.training.trackers import RunInfo
tracker = default_registry().get(TrackerSpec, "tensorboard").resolve().open(
    RunInfo(name="program", folder=Path(sys.argv[1]), settings={"steps": 2}))
tracker.log(1, {"train/loss": 0.125})
if len(sys.argv) > 2:
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
tracker.close("finished")
"""


def loss(step: int) -> float:
    """A number that 32 bits hold."""
    return float(np.float32(1 / (step + 3)))


def record(
    folder: Path, steps: range, status: RunStatus = "finished", resume: int = 0, offset: float = 0
) -> None:
    """One session: what a trainer does with a tracker."""
    run = RunInfo(name="small", folder=folder, settings=SETTINGS, step=resume)
    tracker = TensorBoardTracker.open(run)
    for step in steps:
        tracker.log(step, {"train/loss": loss(step) + offset, "train/rate": step / 8})
    tracker.close(status)


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder / "tensorboard"), {"scalars": 0, "tensors": 0}).Reload()


def series(reader: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in reader.Scalars(tag)]


def hparams(reader: EventAccumulator, tag: str) -> HParamsPluginData:
    content = reader.SummaryMetadata(f"_hparams_/{tag}").plugin_data.content
    return HParamsPluginData.FromString(content)


def statuses(reader: EventAccumulator) -> list[tuple[int, str]]:
    texts = reader.Tensors("status")
    return [(text.step, make_ndarray(text.tensor_proto).item().decode()) for text in texts]


def test_values_and_steps_come_back_to_the_bit(tmp_path: Path) -> None:
    record(tmp_path, range(1, 61))
    reader = read(tmp_path)
    assert series(reader, "train/loss") == [(step, loss(step)) for step in range(1, 61)]
    assert series(reader, "train/rate") == [(step, step / 8) for step in range(1, 61)]


def test_times_do_not_fall(tmp_path: Path) -> None:
    record(tmp_path, range(1, 61))
    times = [event.wall_time for event in read(tmp_path).Scalars("train/loss")]
    assert all(a <= b for a, b in pairwise(times))


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 1.5 * 2.0**127, 2.0**-149])
def test_extremes_come_back(tmp_path: Path, value: float) -> None:
    tracker = TensorBoardTracker.open(RunInfo(name="extreme", folder=tmp_path))
    tracker.log(1, {"x": value})
    tracker.close("finished")
    assert series(read(tmp_path), "x") == [(1, value)]


def test_settings_come_back(tmp_path: Path) -> None:
    record(tmp_path, range(1))
    found = hparams(read(tmp_path), "session_start_info").session_start_info.hparams
    assert {name: getattr(v, v.WhichOneof("kind")) for name, v in found.items()} == SETTINGS


def test_a_large_integer_keeps_its_digits(tmp_path: Path) -> None:
    seed = 2**63 - 1
    run = RunInfo(name="seeded", folder=tmp_path, settings={"seed": seed})
    TensorBoardTracker.open(run).close("finished")
    found = hparams(read(tmp_path), "session_start_info").session_start_info.hparams
    assert found["seed"].string_value == str(seed)


def test_a_resumed_run_continues(tmp_path: Path) -> None:
    record(tmp_path, range(1, 31), "interrupted")
    record(tmp_path, range(31, 61), resume=30)
    reader = read(tmp_path)
    assert series(reader, "train/loss") == [(step, loss(step)) for step in range(1, 61)]
    assert statuses(reader) == [(30, "interrupted"), (60, "finished")]


def test_a_tracker_new_to_a_resumed_run_has_all_of_it(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        for step in range(1, 34):
            log.append(step, {"train/loss": loss(step)})
    record(tmp_path, range(31, 46), "interrupted", resume=30)
    record(tmp_path, range(46, 61), resume=45)
    found = series(read(tmp_path), "train/loss")
    assert found == [(step, loss(step)) for step in range(1, 61)]


def test_steps_computed_again_replace_the_earlier_ones(tmp_path: Path) -> None:
    record(tmp_path, range(1, 41), "failed", offset=1)
    record(tmp_path, range(31, 61), resume=30)
    found = series(read(tmp_path), "train/loss")
    assert found[30:] == [(step, loss(step)) for step in range(31, 61)]
    assert found[:30] == [(step, float(np.float32(loss(step) + 1))) for step in range(1, 31)]


def test_a_run_begun_anew_replaces_all(tmp_path: Path) -> None:
    record(tmp_path, range(41), "failed", offset=1)
    record(tmp_path, range(5))
    found = series(read(tmp_path), "train/loss")
    assert found == [(step, loss(step)) for step in range(5)]


def test_many_sessions_are_read_in_their_order(tmp_path: Path) -> None:
    for begin in range(0, 60, 5):
        record(tmp_path, range(begin + 1, begin + 6), "interrupted", resume=begin)
    assert [step for step, _ in series(read(tmp_path), "train/loss")] == list(range(1, 61))


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_only_a_finished_run_is_at_its_end(tmp_path: Path, status: RunStatus) -> None:
    record(tmp_path, range(1, 3), status)
    reader = read(tmp_path)
    assert statuses(reader) == [(2, status)]
    assert "_hparams_/session_end_info" not in reader.Tags()["tensors"]
    record(tmp_path, range(3, 5), resume=2)
    end = hparams(read(tmp_path), "session_end_info").session_end_info
    assert end.status == STATUS_SUCCESS


def test_a_killed_run_keeps_what_was_logged(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path), "kill"], check=False)
    assert killed.returncode < 0
    record(tmp_path, range(2, 4), resume=1)
    assert series(read(tmp_path), "train/loss") == [(1, 0.125), (2, loss(2)), (3, loss(3))]


def test_a_record_cut_by_a_kill_hides_nothing_after_it(tmp_path: Path) -> None:
    record(tmp_path, range(1, 31), "failed")
    (file,) = (tmp_path / "tensorboard").iterdir()
    file.write_bytes(file.read_bytes()[:-11])
    record(tmp_path, range(31, 61), resume=30)
    found = series(read(tmp_path), "train/loss")
    assert [step for step, _ in found] == list(range(1, 61))


def test_nothing_is_printed_and_no_framework_imported(tmp_path: Path) -> None:
    program = f"{PROGRAM}\nassert not {{'tensorflow', 'torch'}} & set(sys.modules)"
    command = [sys.executable, "-W", "error", "-c", program, str(tmp_path / "run")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["tensorboard"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("a file")
    with pytest.raises(TrackerError, match=r"TensorBoard: cannot write .*tensorboard"):
        TensorBoardTracker.open(RunInfo(name="refused", folder=tmp_path))


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    tracker = TensorBoardTracker.open(RunInfo(name="full", folder=tmp_path))
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, tracker._writer._writer.fileno())
    os.close(full)
    with pytest.raises(TrackerError, match="No space left on device; make room"):
        tracker.log(1, {"x": 1.0})
    with pytest.raises(TrackerError, match="No space left on device; make room"):
        tracker.close("failed")
    assert tracker._writer.closed
