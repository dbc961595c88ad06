"""Processes on one machine: numbered, heard once where they fail, ended together."""

from __future__ import annotations

import sys

import pytest

from lmkernel.distribution.launch import launch
from lmkernel.errors import InputError, RunError


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


def test_those_that_do_not_end_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmkernel.distribution.launch._GRACE", 0.2)
    monkeypatch.setattr("lmkernel.distribution.launch._LAST", 0.2)
    program = "import signal; signal.signal(15, signal.SIG_IGN)\ntime.sleep(60 * rank); sys.exit(3)"
    assert launch(python(program), 2) == 3


@pytest.mark.parametrize("count", [0, -1, 5000])
def test_a_number_that_cannot_be_is_refused(count: int) -> None:
    with pytest.raises(InputError, match="processes: expected a number from 1 to 1024"):
        launch(["true"], count)
