"""A run that is killed again and again ends in the bits of one that is left alone.

Each process kills itself by SIGKILL, which it can neither see nor put off, at a moment drawn from a
seed: just before some call of a function, in Python or in C, while it takes steps or while it
writes a checkpoint. So the moments are random, and yet the same on a slow machine.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from training_files import contents, pretraining, story

from lmkernel.training.run.folder import RunFolder, steps
from lmkernel.training.run.state_files import read_state

if TYPE_CHECKING:
    from pathlib import Path

STEPS, INTERVAL = 60, 4
KILLS, WRITES = 20, 8
SETTINGS = (
    *("--steps", str(STEPS), "--set", f"training.checkpoint_every={INTERVAL}"),
    *("--set", "training.evaluate_every=8", "--set", "schedule.warmup=3"),
)
SELF = """
import os, signal, sys
import lmkernel.training.verbs as verbs
from lmkernel.cli.main import main

function, passes, calls = sys.argv[1:4]
left = [int(passes), int(calls)]

def watch(frame, event, argument):
    if left[0]:
        left[0] -= event == "call" and frame.f_code.co_qualname == function
    elif left[1]:
        left[1] -= event in ("call", "c_call")
    else:
        os.kill(os.getpid(), signal.SIGKILL)

def watched(*arguments, original=verbs.run_session):
    sys.setprofile(watch)
    return original(*arguments)

verbs.run_session = watched
sys.exit(main(sys.argv[4:]))
"""
STEP, WRITE = "ComposedTrainer.step", "save_checkpoint"
CALLS_OF_A_STEP, CALLS_OF_A_WRITE = 5000, 7000  # about


def moments(seed: int) -> list[tuple[str, int, int]]:
    """(function, how often it was entered, calls since then) of each kill."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    writes = [(WRITE, 1, draw.randrange(CALLS_OF_A_WRITE)) for _ in range(WRITES)]
    walks = [
        (STEP, draw.randrange(1, 2 * INTERVAL), draw.randrange(CALLS_OF_A_STEP))
        for _ in range(KILLS - WRITES)
    ]
    both = [*writes, *walks]
    draw.shuffle(both)
    return both


def ran(home: Path, *arguments: str) -> int:
    """The exit code of a process; all have one thread, as sums by several round differently."""
    environment = {**os.environ, "LMKERNEL_HOME": str(home), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, capture_output=True, env=environment, check=False, timeout=300
    ).returncode


def logged(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def unfinished(run: Path) -> list[int]:
    """Steps of checkpoints that were being written."""
    names = [
        re.fullmatch(r"\.step-(\d+)\.\w+\.part", p.name) for p in (run / "checkpoints").iterdir()
    ]
    there = steps(run / "checkpoints")
    return [n for name in names if name and (n := int(name[1])) > max(there, default=0)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, int]:
    """An undisturbed run, one that was killed, and how many of its kills hit a write."""
    place = tmp_path_factory.mktemp("kills")
    data, calm, harried = story(place / "story.txt"), place / "calm", place / "harried"
    home, command = place / "home", ("-m", "lmkernel.cli")
    assert ran(home, *command, *pretraining(data, calm, *SETTINGS)) == 0
    arguments, hits = pretraining(data, harried, *SETTINGS), 0
    for moment in moments(seed=11):
        code = ran(home, "-c", SELF, *map(str, moment), *arguments)
        assert code == -signal.SIGKILL, moment
        hits += bool(unfinished(harried))
        nothing_lost(harried)
        arguments = ["pretrain", "--quiet", "--resume", str(harried)]
    assert ran(home, *command, *arguments) == 0
    return calm, harried, hits


def nothing_lost(run: Path) -> None:
    """What is left of a killed run is sound, and its last checkpoint less than an interval old."""
    taken = max((line["step"] for line in logged(run)), default=0)
    checkpoint = RunFolder(run).latest()
    kept = read_state(checkpoint).step if checkpoint else 0
    assert kept <= taken <= kept + INTERVAL
    assert taken < STEPS


def test_kills_hit_checkpoints_while_they_were_written(runs: tuple[Path, Path, int]) -> None:
    assert runs[2] >= 5


def test_weights_and_moments_are_the_bits_of_an_undisturbed_run(
    runs: tuple[Path, Path, int],
) -> None:
    calm, harried, _ = runs
    assert contents(harried / "checkpoints") == contents(calm / "checkpoints")
    assert f"step-{STEPS:06d}/trainer/optimizer.safetensors" in contents(calm / "checkpoints")
    assert contents(harried / "model") == contents(calm / "model")


def test_every_step_is_logged_once_with_the_same_numbers(runs: tuple[Path, Path, int]) -> None:
    calm, harried, _ = runs
    assert logged(harried) == logged(calm)
    train = [line["step"] for line in logged(calm) if "train/loss" in line]
    assert train == list(range(1, STEPS + 1))


def test_nothing_of_the_kills_is_left(runs: tuple[Path, Path, int]) -> None:
    calm, harried, _ = runs

    def names(run: Path) -> set[str]:
        return {name for name in contents(run) if not name.endswith(".lock")}

    assert names(harried) == names(calm)


def test_each_process_is_noted(runs: tuple[Path, Path, int]) -> None:
    sessions = json.loads((runs[1] / "environment.json").read_text())["sessions"]
    assert len(sessions) == KILLS + 1
    starts = [session["step"] for session in sessions]
    assert starts == sorted(starts)
    assert starts[0] == 0
    assert max(starts) > 0
