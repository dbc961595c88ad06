"""Twenty kills of one process among four, at random moments; each time the same command goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from several_runs import BACKENDS, SOON, TINY, assert_same_model, command, ranks_of, run

from lmkernel.training.run.state_files import read_state

if TYPE_CHECKING:
    from collections.abc import Iterator

KILLS = int(os.environ.get("LMKERNEL_KILLS", "20"))
COUNT = 4
SEVERAL = ["--processes", str(COUNT), "--mesh", "fsdp=4"]
EVERY, MOST = 2, 3
"""Steps between checkpoints, and the most of them that a process lives to see."""
STEPS = 40 * (KILLS + 1)
"""More than are taken until the last kill, which comes some steps after its checkpoint."""
SMOOTH = ["--set", "optimizer.eps=1e-3"]
"""So that a gradient that is mere rounding does not become a whole step of Adam."""


def checkpoints(folder: Path) -> list[Path]:
    """Those that are there, the latest last."""
    return sorted(folder.glob("checkpoints/step-*"))


def survivors(children: dict[int, int]) -> list[int]:
    return [pid for pid in children.values() if Path(f"/proc/{pid}").exists()]


@pytest.fixture(params=BACKENDS)
def undisturbed(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A backend, and the folder of its run of one process."""
    folder = tmp_path / "one"
    run("--backend", request.param, *TINY, *SMOOTH, "--steps", str(STEPS), "--out", str(folder))
    return request.param, folder


def test_kills_at_random_moments(undisturbed: tuple[str, Path], tmp_path: Path) -> None:
    backend, alone = undisturbed
    out, draw = tmp_path / "several", random.Random(17)  # noqa: S311 - moments, no secret
    steps = ["--steps", str(STEPS), "--set", f"training.checkpoint_every={EVERY}"]
    begin = ["--backend", backend, *TINY, *SMOOTH, *SEVERAL, *steps, "--out", str(out)]
    for number in range(KILLS):
        asked = ["--resume", str(out), "--quiet", *SEVERAL] if checkpoints(out) else begin
        rank = draw.randrange(COUNT)
        said = kill_one(asked, out, rank, draw.randint(1, MOST), tmp_path / f"said{number}")
        assert f"process {rank} of {COUNT}: ended by signal SIGKILL" in said
        whole = read_state(checkpoints(out)[-1])
        assert whole.step == int(checkpoints(out)[-1].name.partition("-")[2])
    run("--resume", str(out), "--quiet", *SEVERAL)
    assert_same_model(alone, out)


def kill_one(asked: list[str], out: Path, rank: int, after: int, said: Path) -> str:
    """Kill a process once so many checkpoints are new; what was said, once all have ended."""
    before = len(names := {place.name for place in checkpoints(out)})
    with said.open("wb") as stream:
        parent = subprocess.Popen(command(*asked), stderr=stream, stdout=stream)
    new = before
    for _ in until(SOON):
        names |= {place.name for place in checkpoints(out)}  # old ones are deleted
        new = len(names) - before
        if new >= after or parent.poll() is not None:
            break
    assert new >= after, said.read_text()
    children = dict(ranks_of(parent.pid))
    os.kill(children[rank], signal.SIGKILL)
    assert parent.wait(SOON) != 0
    assert survivors(children) == []
    return said.read_text()


def until(seconds: float) -> Iterator[None]:
    """Looks, some twenty a second."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.05)
    sys.stderr.write("nothing came\n")
