"""Each defect of a framework that the suite has found is still there, as its program shows.

A program prints what is expected and what came. Once they are equal, the defect is gone from this
version: its program leaves, and so may what the backend does about it. What a library does only on
some processors is asked for on those.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_TRIES = 10
_CPUINFO = Path("/proc/cpuinfo")
_NEEDED = re.compile(r"Only on processors with `(\w+)`")
PROGRAMS = sorted((HERE / os.environ["LMKERNEL_BACKEND"]).glob("*.py"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_the_defect_is_there(program: Path) -> None:
    done = _run(program)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()[-1]
    expected, _, got = said.removeprefix("expected ").partition(" got ")
    assert got, f"expected a line of what is expected and what came, got {said!r}"
    if _may_show_here(program):
        assert expected != got, f"{program.parent.name}: this is mended: {said}"
    print(said)


def _may_show_here(program: Path) -> bool:
    """Whether the processor has what a program names, or is not known."""
    needed = _NEEDED.search(program.read_text("utf-8"))
    if needed is None or not _CPUINFO.exists():
        return True
    return needed[1] in _CPUINFO.read_text("utf-8", "replace").split()


def _run(program: Path) -> subprocess.CompletedProcess[str]:
    """Run a program; one that a signal ended is run again, as a defect of memory may end it."""
    command = [sys.executable, "-W", "ignore", str(program)]
    for _ in range(_TRIES):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode >= 0:
            break
    return done


def test_there_are_programs() -> None:
    assert PROGRAMS
