"""Processes on one machine: numbered, heard once where they fail, ended together."""

from __future__ import annotations

import signal
import sys
import types
from typing import TYPE_CHECKING

import pytest

from lmkernel.distribution import launch as launching
from lmkernel.distribution.launch import _first_to_fail, launch
from lmkernel.errors import InputError, RunError

if TYPE_CHECKING:
    from pathlib import Path


def python(program: str) -> list[str]:
    return [
        sys.executable,
        "-c",
        f"import os, sys, time\nrank = int(os.environ['RANK'])\n{program}",
    ]


def test_each_has_its_number_and_the_same_address(capfd: pytest.CaptureFixture[str]) -> None:
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR")
    program = f"print(*[os.environ[n] for n in {names}], file=sys.stdout)"
    assert launch(python(program), 2) == 0
    assert capfd.readouterr().out == "0 0 2 127.0.0.1\n"  # the other one is not heard


def test_the_code_of_process_0_is_given_back() -> None:
    assert launch(python("sys.exit(130)"), 2) == 130


def test_what_another_says_as_it_fails_is_said_once() -> None:
    program = "sys.exit('lmkernel: error: no room' if rank else 4)"
    with pytest.raises(RunError, match=r"^process 1 of 2: no room$"):
        launch(python(program), 2)


def test_what_all_say_is_left_to_process_0(capfd: pytest.CaptureFixture[str]) -> None:
    assert launch(python("sys.exit('lmkernel: error: no room')"), 2) == 1
    assert capfd.readouterr().err == "lmkernel: error: no room\n"


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_is_named(rank: int) -> None:
    program = f"os.kill(os.getpid(), 9) if rank == {rank} else sys.exit(4)"
    with pytest.raises(RunError, match=f"process {rank} of 2: ended by signal SIGKILL"):
        launch(python(program), 2)


def test_the_one_that_failed_first_is_named(tmp_path: Path) -> None:
    """An engine aborts a process when another is gone: that one is not to blame."""
    place = tmp_path / "pid"
    program = f"""
import pathlib
place = pathlib.Path({str(place)!r})
if rank == 0:
    sys.exit(4)
if rank == 2:
    place.write_text(str(os.getpid()))
    os.kill(os.getpid(), 9)
while not place.exists() or not place.read_text():
    time.sleep(0.02)
try:
    while True:  # until it was seen to have ended
        os.kill(int(place.read_text()), 0)
        time.sleep(0.02)
except ProcessLookupError:
    os.abort()
"""
    with pytest.raises(RunError, match="process 2 of 3: ended by signal SIGKILL"):
        launch(python(program), 3)


def test_of_those_that_ended_together_the_killed_one_is_named() -> None:
    common = {"failed_by_itself": True, "ended": 5}
    one = types.SimpleNamespace(rank=1, code=-signal.SIGABRT, **common)
    other = types.SimpleNamespace(rank=2, code=-signal.SIGKILL, **common)
    assert _first_to_fail([one, other]) is other  # type: ignore[list-item]  # what is asked of them
    other.ended = 6
    assert _first_to_fail([one, other]) is one  # type: ignore[list-item]  # what is asked of them


def test_all_have_ended_within_half_a_minute() -> None:
    """Those that wait, are asked to end twice and then made to, as the page on clusters says."""
    assert launching._GRACE + 2 * launching._LAST / 2 < 30


def test_those_that_do_not_end_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmkernel.distribution.launch._GRACE", 0.2)
    monkeypatch.setattr("lmkernel.distribution.launch._LAST", 0.2)
    program = "import signal; signal.signal(15, signal.SIG_IGN)\ntime.sleep(60 * rank); sys.exit(3)"
    assert launch(python(program), 2) == 3


@pytest.mark.parametrize("count", [0, -1, 5000])
def test_a_number_that_cannot_be_is_refused(count: int) -> None:
    with pytest.raises(InputError, match="processes: expected a number from 1 to 1024"):
        launch(["true"], count)
