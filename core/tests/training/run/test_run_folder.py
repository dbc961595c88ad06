"""A run's folder: held by one process, new or resumed, saying what ran."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from lmkernel.atomic import new_directory
from lmkernel.errors import RunError
from lmkernel.training.run.folder import RunFolder, has_run, open_run, steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLDS = """
import sys, time
from lmkernel.training.run.folder import open_run
with open_run(sys.argv[1]) as folder:
    folder.write_settings("steps = 1")
    (folder.checkpoints / ".step-000010.0123456789ab.part").mkdir()
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs in ``tmp_path / "run"``."""
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def run_once(path: Path, text: str = "steps = 1") -> None:
    with open_run(path) as folder:
        folder.write_settings(text)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


def test_new_folder_is_made_with_all_above_it(tmp_path: Path) -> None:
    with open_run(tmp_path / "a" / "b") as folder:
        assert folder.path == tmp_path / "a" / "b"
        assert folder.checkpoints.is_dir()
        assert folder.checkpoint(200) == tmp_path / "a/b/checkpoints/step-000200"


def test_empty_folder_is_taken(tmp_path: Path) -> None:
    run_once(tmp_path)
    assert names(tmp_path) == {"checkpoints", "run.toml"}


def test_run_that_died_before_it_began_leaves_a_new_folder(tmp_path: Path) -> None:
    with open_run(tmp_path) as folder:
        (folder.path / ".run.toml.0123456789ab.part").touch()
    run_once(tmp_path)
    assert has_run(tmp_path)


@pytest.mark.parametrize("resume", [False, True])
def test_second_process_is_refused_at_once(
    tmp_path: Path,
    holder: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    resume: bool,
) -> None:
    # whoever waits for a lock sleeps between two tries
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waited for the lock"))
    expected = f"{tmp_path / 'run'}: another process is running in this folder"
    with pytest.raises(RunError, match=expected), open_run(tmp_path / "run", resume=resume):
        pytest.fail("two processes in one folder")
    assert holder.poll() is None


def test_second_run_of_one_process_is_refused(tmp_path: Path) -> None:
    with (
        open_run(tmp_path),
        pytest.raises(RunError, match="another process is running"),
        open_run(tmp_path),
    ):
        pytest.fail("two runs in one folder")


def test_killed_process_holds_nothing_and_its_leftovers_go(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with open_run(tmp_path / "run", resume=True) as folder:
        assert list(folder.checkpoints.iterdir()) == []
        assert folder.settings.read_text() == "steps = 1"


def test_new_run_where_one_was_is_refused(tmp_path: Path) -> None:
    run_once(tmp_path)
    with pytest.raises(RunError, match="expected a new or empty folder"), open_run(tmp_path):
        pytest.fail("a run over another")


def test_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="expected a new or empty folder"), open_run(tmp_path):
        pytest.fail("a run among other files")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_file_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(RunError, match="expected a folder for the run, got a file"), open_run(path):
        pytest.fail("a run in a file")


def test_nothing_to_resume_is_said_and_nothing_made(tmp_path: Path) -> None:
    path = tmp_path / "none"
    with (
        pytest.raises(RunError, match=r"expected a run to resume, got no run\.toml"),
        open_run(path, resume=True),
    ):
        pytest.fail("a run resumed from nothing")
    assert not path.exists()


def test_parent_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "run"
    with pytest.raises(RunError, match=rf"{path}: cannot be written: Not a"), open_run(path):
        pytest.fail("a run below a file")


def test_other_settings_of_a_resumed_run_are_kept_beside(tmp_path: Path) -> None:
    run_once(tmp_path, "steps = 1")
    with open_run(tmp_path, resume=True) as folder:
        folder.write_settings("steps = 1", step=100)
        folder.write_settings("steps = 2", step=200)
    assert (tmp_path / "run.toml").read_text() == "steps = 2"
    assert (tmp_path / "run-until-000200.toml").read_text() == "steps = 1"
    assert names(tmp_path) == {"checkpoints", "run.toml", "run-until-000200.toml"}


def test_settings_that_no_kept_step_ran_with_replace_none(tmp_path: Path) -> None:
    run_once(tmp_path, "steps = 1")
    for text in ("steps = 2", "steps = 3"):
        with open_run(tmp_path, resume=True) as folder:
            folder.write_settings(text, step=200)
    assert (tmp_path / "run.toml").read_text() == "steps = 3"
    assert (tmp_path / "run-until-000200.toml").read_text() == "steps = 1"


def test_each_session_is_noted(tmp_path: Path) -> None:
    with open_run(tmp_path) as folder:
        folder.add_session({"backend": "numpy", "arguments": ["\udcff"]})
        folder.add_session({"backend": "torch"}, step=200)
    assert json.loads(folder.environment.read_text())["sessions"] == [
        {"step": 0, "backend": "numpy", "arguments": ["\udcff"]},
        {"step": 200, "backend": "torch"},
    ]


def test_metrics_go_on_after_a_step(tmp_path: Path) -> None:
    with open_run(tmp_path) as folder:
        for step in (0, 1):
            with folder.open_metrics(step) as log:
                log.append(step + 1, {})
                log.append(step + 2, {})
    assert folder.metrics.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3}\n'


def fill(folder: RunFolder, *steps_taken: int) -> None:
    for step in steps_taken:
        with new_directory(folder.checkpoint(step)) as part:
            (part / "weights").write_text(str(step))


def test_latest_is_the_highest_step_not_the_last_name(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    fill(folder, 999_999, 1_000_000, 20)
    assert steps(folder.checkpoints) == [20, 999_999, 1_000_000]
    assert folder.latest() == folder.checkpoints / "step-1000000"


def test_nothing_else_is_a_checkpoint(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.latest() is None
    folder.checkpoints.mkdir()
    folder.checkpoint(300).write_text("a file")
    for name in ("step-12", "step-000200x", ".step-000200.0123456789ab.part"):
        (folder.checkpoints / name).mkdir()
    assert steps(folder.checkpoints) == []
    assert folder.latest() is None


@pytest.mark.parametrize(
    ("keep", "best", "left"),
    [(2, None, [40, 50]), (1, 20, [20, 50]), (2, 50, [40, 50]), (9, None, [10, 20, 30, 40, 50])],
)
def test_last_ones_and_the_best_stay(
    tmp_path: Path, keep: int, best: int | None, left: list[int]
) -> None:
    folder = RunFolder(tmp_path)
    fill(folder, 10, 20, 30, 40, 50)
    folder.prune(keep, best)
    assert steps(folder.checkpoints) == left
    assert len(names(folder.checkpoints)) == len(left)


def test_the_last_one_stays_whatever_is_asked(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    fill(folder, 10, 20)
    folder.prune(0)
    assert steps(folder.checkpoints) == [20]


def test_half_deleted_checkpoint_has_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_once(tmp_path)
    folder = RunFolder(tmp_path)
    fill(folder, 10, 20)
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # killed before it deleted
    folder.prune(1)
    assert steps(folder.checkpoints) == [20]
    monkeypatch.undo()
    with open_run(tmp_path, resume=True):
        assert names(folder.checkpoints) == {"step-000020"}


def test_leftovers_are_cleared_and_nothing_else(tmp_path: Path) -> None:
    run_once(tmp_path)
    folder = RunFolder(tmp_path)
    fill(folder, 10)
    half = folder.checkpoints / ".step-000020.0123456789ab.part"
    half.mkdir()
    (half / "weights").touch()
    (tmp_path / ".run.toml.0123456789ab.part").touch()
    (folder.checkpoints / ".step-000010.0123456789ab.rest").mkdir()
    for name in (".hidden", "some.part"):
        (folder.checkpoints / name).touch()
    with open_run(tmp_path, resume=True):
        assert names(tmp_path) == {"checkpoints", "run.toml"}
        assert names(folder.checkpoints) == {".hidden", "some.part", "step-000010"}


def test_m2_checkpoint_that_was_being_replaced_comes_back(tmp_path: Path) -> None:
    run_once(tmp_path)
    folder = RunFolder(tmp_path)
    fill(folder, 10)
    former = folder.checkpoints / ".step-000010.0123456789ab.part" / "former"
    former.mkdir(parents=True)
    folder.checkpoint(10).rename(former / "step-000010")
    with open_run(tmp_path, resume=True):
        assert (folder.checkpoint(10) / "weights").read_text() == "10"
        assert names(folder.checkpoints) == {"step-000010"}


def test_m2_half_deleted_checkpoint_never_comes_back(tmp_path: Path) -> None:
    run_once(tmp_path)
    folder = RunFolder(tmp_path)
    fill(folder, 10)
    rest = folder.checkpoints / ".step-000010.0123456789ab.rest"
    rest.mkdir()
    folder.checkpoint(10).rename(rest / "step-000010")
    with open_run(tmp_path, resume=True):
        assert names(folder.checkpoints) == set()
