"""``--resume``: what goes on, after an end or an interrupt, and what trackers are told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from typing import TYPE_CHECKING

import pytest
from made_trackers import Plugin as Trackers
from run_folders import logged, settings_in, untouched
from training_files import contents, done, pretraining

from lmkernel.cli.main import main
from lmkernel.plugins import Registry

if TYPE_CHECKING:
    from pathlib import Path

SIGNALS = [
    signal.SIGINT,
    pytest.param(signal.SIGTERM, marks=pytest.mark.whole),
    pytest.param(signal.SIGHUP, marks=pytest.mark.whole),
]


def with_trackers() -> Registry:
    """All that is installed, and the trackers made for tests."""
    registry = Registry()
    registry.register("made", Trackers())
    return registry


@pytest.mark.parametrize("steps", [4, 6])
def test_m5_best_checkpoint_that_was_deleted_is_missed_before_the_first_step(
    run: Path, capsys: pytest.CaptureFixture[str], steps: int
) -> None:
    state = run / "checkpoints" / "step-000004" / "trainer" / "state.json"
    facts = json.loads(state.read_text())
    facts["best"] = {"step": 3, "loss": 1.0, "worse": 1}
    state.write_text(json.dumps(facts))
    complaint = untouched(run, capsys, "pretrain", "--resume", run, "--steps", steps, "--quiet")
    assert complaint.startswith(f"{run}/checkpoints/step-000003: expected the best checkpoint")


@pytest.mark.parametrize("lost", ["nothing", "model"])
def test_a_finished_run_says_so_and_gives_its_numbers_again(
    run: Path, capsys: pytest.CaptureFixture[str], lost: str
) -> None:
    """Also where it was killed between the last checkpoint and the model."""
    before = contents(run / "model")
    if lost == "model":
        (run / "model").rename(run.parent / "gone")
    numbers = logged(run)
    capsys.readouterr()
    done("pretrain", "--resume", run, "--quiet")
    out, err = capsys.readouterr()
    assert out.startswith(f"was finished after step 4: loss {numbers[-1]['validation/loss']:.4g}")
    assert err == "nothing was left to train; for more, say --steps\n"
    assert contents(run / "model") == before
    assert logged(run) == numbers


def test_more_steps_go_on_with_a_finished_run(run: Path) -> None:
    done("pretrain", "--resume", run, "--steps", "6", "--quiet")
    assert [line["step"] for line in logged(run)] == [1, 2, 3, 4, 4, 5, 6, 6]
    assert settings_in(run)["training"]["steps"] == 6
    kept = tomllib.loads((run / "run-until-000004.toml").read_text())
    assert kept["training"]["steps"] == 4


def test_a_run_stops_early_and_stays_stopped(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rate is so small that no evaluation is better than the first."""
    more = ("--rate", "1e-30", "--set", "training.evaluate_every=1", "--set", "training.patience=2")
    done(*pretraining(text, tmp_path / "run", *more, "--steps", "9"))
    out = capsys.readouterr().out
    assert out.startswith("stopped early after step 3: ")
    assert "\nbest: loss 5." in out
    assert " at step 1\n" in out
    done("pretrain", "--resume", tmp_path / "run", "--quiet")
    assert capsys.readouterr().out.startswith("was finished after step 3: ")
    done("pretrain", "--resume", tmp_path / "run", "--set", "training.patience=0", "--quiet")
    assert capsys.readouterr().out.startswith("finished after step 9: ")


SLOWLY = """
import signal, sys, time
from lmkernel.cli.main import main
from lmkernel.training.step.trainer import ComposedTrainer

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever began the tests, as nohup does
signal.signal(signal.SIGHUP, signal.SIG_DFL)

def slowly(self, state, batches, step=ComposedTrainer.step):
    time.sleep(0.05)
    return step(self, state, batches)

ComposedTrainer.step = slowly
sys.exit(main(sys.argv[1:]))
"""


def interrupted(arguments: list[str], run: Path, number: int) -> tuple[int, str, str]:
    """Exit code and output of a run that gets a signal after some steps."""
    with subprocess.Popen(
        [sys.executable, "-c", SLOWLY, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    ) as child:
        while not (run / "metrics.jsonl").exists() or len(logged(run)) < 3:
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(number)
        out, err = child.communicate(timeout=120)
    return child.returncode, out, err


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_run_saves_says_how_to_go_on_and_ends_in_the_same_bits(
    tmp_path: Path, text: Path, number: int
) -> None:
    more = ("--steps", "30", "--set", "training.checkpoint_every=0")
    place = tmp_path / "my run"
    code, out, err = interrupted(pretraining(text, place, *more), place, number)
    steps = max(line["step"] for line in logged(place))
    assert (code, out) == (130, "")
    assert err == (
        f"interrupted after step {steps}; go on with:\n  lmkernel pretrain --resume '{place}'\n"
    )
    assert 3 <= steps < 30
    assert [p.name for p in (place / "checkpoints").iterdir()] == [f"step-{steps:06d}"]
    assert not (place / "model").exists()
    one_thread = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    for arguments in (
        ["pretrain", "--resume", str(place), "--quiet"],
        pretraining(text, tmp_path / "calm", *more),
    ):
        command = [sys.executable, "-m", "lmkernel.cli", *arguments]
        subprocess.run(command, check=True, capture_output=True, env=one_thread)
    assert contents(place / "model") == contents(tmp_path / "calm" / "model")
    assert logged(place) == logged(tmp_path / "calm")


def test_trackers_are_told_of_the_run_and_of_an_interrupt(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmkernel.training.run.recording import Interrupts

    place = tmp_path / "run"
    arguments = pretraining(text, place, "--tracker", "diary")
    with monkeypatch.context() as patch:
        patch.setattr(Interrupts, "after_step", lambda *_: True)
        assert main(arguments, registry=with_trackers()) == 130
    assert main(["pretrain", "--resume", str(place), "--quiet"], registry=with_trackers()) == 0
    told = (place / "diary").read_text().splitlines()
    assert [line for line in told if "log" not in line] == [
        "diary open run 0",
        "diary close interrupted",
        "diary open run 1",
        "diary close finished",
    ]


def test_a_tracker_that_breaks_is_said_once_and_the_run_goes_on(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = pretraining(text, tmp_path / "r", "--tracker", "brittle")
    arguments.remove("--quiet")
    assert main(arguments, registry=with_trackers()) == 0
    err = capsys.readouterr().err
    assert (
        err.count("tracker 'brittle' fails and is left out from here on: ValueError: broken") == 1
    )
