"""Runs of the command over several processes: killed, interrupted, resumed by others."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from several_runs import (
    BACKENDS,
    SOON,
    TINY,
    assert_same_model,
    command,
    losses,
    ranks_of,
    run,
)

from lmkernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(scope="module", params=BACKENDS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A backend, and the folder of its run of one process."""
    folder = tmp_path_factory.mktemp(request.param) / "one"
    run("--backend", request.param, *TINY, "--steps", "30", "--out", str(folder))
    return request.param, folder


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the command, what it says in a file; ended with the test."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin(said: Path, *arguments: str) -> subprocess.Popen[bytes]:
        with said.open("wb") as stream:
            begun.append(subprocess.Popen(command(*arguments), stderr=stream, stdout=stream))
        return begun[-1]

    yield begin
    for process in begun:
        for _ in range(2):  # the second time it does not wait for a step
            process.send_signal(signal.SIGTERM)
        process.wait(SOON)


@pytest.mark.parametrize("mesh", ["data=2", "model=2", "data=2,fsdp=2", "fsdp=2,model=2"])
def test_curves_are_those_of_one_process(whole: Any, mesh: str, tmp_path: Path) -> None:
    backend, folder = whole
    count = "4" if "," in mesh else "2"
    several = ["--processes", count, "--mesh", mesh]
    run("--backend", backend, *TINY, *several, "--steps", "30", "--out", str(tmp_path / "r"))
    assert_same_curves(folder, tmp_path / "r")


@pytest.mark.parametrize("backend", BACKENDS)
def test_curves_of_llama_are_those_of_one_process(backend: str, tmp_path: Path) -> None:
    asked = ["--backend", backend, *TINY, "--family", "llama", "--steps", "50", "--out"]
    run(*asked, str(tmp_path / "one"))
    run(*asked, str(tmp_path / "r"), "--processes", "4", "--mesh", "data=2,model=2")
    assert_same_curves(tmp_path / "one", tmp_path / "r")


def test_heads_that_do_not_divide_are_refused_once(tmp_path: Path) -> None:
    asked = [*TINY, "--width", "24", "--heads", "3", "--processes", "2", "--mesh", "model=2"]
    asked += ["--backend", "torch", "--out", str(tmp_path / "r")]
    done = subprocess.run(command(*asked), capture_output=True, text=True, check=False)
    assert done.returncode == ConfigError.exit_code
    assert done.stderr.count("decoder.layers.0.attention has 3; they fit model=3") == 1
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "r").exists()


def assert_same_curves(folder: Path, other: Path) -> None:
    one, several = losses(folder), losses(other)
    assert one.keys() == several.keys()
    np.testing.assert_allclose([*several.values()], [*one.values()], rtol=1e-5)
    assert_same_model(folder, other)


@pytest.mark.parametrize("counts", [(2, 1), (1, 2), (4, 1), (4, 2)])
def test_a_run_goes_on_with_another_number_on_another_backend(
    whole: Any, counts: tuple[int, int], tmp_path: Path, start: Start
) -> None:
    backend, folder = whole
    other = next(name for name in BACKENDS if name != backend)
    several = [["--processes", str(count)] if count > 1 else [] for count in counts]
    out = str(tmp_path / "r")
    steps = ["--set", "training.checkpoint_every=10", "--steps", "30"]
    first = start(
        tmp_path / "first", "--backend", backend, *TINY, *several[0], *steps, "--out", out
    )
    wait_for(tmp_path / "r" / "checkpoints" / "step-000010", first)
    first.send_signal(signal.SIGTERM)
    assert first.wait(SOON) in (0, 130)
    run("--resume", out, "--quiet", "--backend", other, *several[1])
    assert_same_model(folder, tmp_path / "r")


@pytest.mark.parametrize("killed", [0, 1, 2])
def test_a_killed_process_ends_all_and_the_run_goes_on(
    whole: Any, killed: int, tmp_path: Path, start: Start
) -> None:
    backend, folder = whole
    out = tmp_path / "r"
    steps = ["--set", "training.checkpoint_every=5", "--steps", "30"]
    several = ["--processes", "4", "--mesh", "fsdp=4"]
    parent = start(
        tmp_path / "said", "--backend", backend, *TINY, *several, *steps, "--out", str(out)
    )
    wait_for(out / "checkpoints" / "step-000005", parent)
    children = dict(ranks_of(parent.pid))
    os.kill(children[killed], signal.SIGKILL)
    code = parent.wait(SOON)  # in how many seconds follows from the launcher's own patience
    said = (tmp_path / "said").read_text()
    if code:  # else the run had ended before
        assert f"process {killed} of 4: ended by signal SIGKILL" in said
        assert killed == 0 or "the last checkpoint is" in said
    assert not any(Path(f"/proc/{pid}").exists() for pid in children.values())
    run("--resume", str(out), "--quiet", *several)
    assert_same_model(folder, out)


def test_one_that_is_asked_to_stop_stops_all_after_the_same_step(
    whole: Any, tmp_path: Path, start: Start
) -> None:
    backend, _ = whole
    out = tmp_path / "r"
    steps = ["--set", "training.checkpoint_every=5", "--steps", "100000"]
    parent = start(
        tmp_path / "said",
        "--backend",
        backend,
        *TINY,
        "--processes",
        "2",
        *steps,
        "--out",
        str(out),
    )
    wait_for(out / "checkpoints" / "step-000005", parent)
    os.kill(dict(ranks_of(parent.pid))[1], signal.SIGTERM)
    assert parent.wait(SOON) == 130
    last = max(losses(out))
    assert (out / "checkpoints" / f"step-{last:06d}").is_dir()


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + SOON
    while not path.is_dir() and process.poll() is None:
        assert time.monotonic() < until, f"{path} did not appear"
        time.sleep(0.05)
