"""Ctrl-C at the program's start: the code and the line that it has later, never a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

# what happens when the N-th module after the start module is looked for
PROGRAM = """
import signal, sys, weakref

class Target: pass

def interrupt():
    signal.raise_signal(signal.SIGINT)

def within_a_callback():
    target = Target()
    kept = weakref.ref(target, lambda _: interrupt())
    del target
    wait()

def within_what_takes_it_for_an_error():
    try:
        interrupt()
    except BaseException:
        raise ImportError("C code in its place")

def wait():
    while True:
        pass

class Finder:
    left = int(sys.argv.pop(1))

    def find_spec(self, name, *_):
        self.left -= 1
        if self.left == 0:
            happens()

happens = globals()[sys.argv.pop(1)]
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever began the tests, as nohup does
from lmkernel.start import main
sys.meta_path.insert(0, Finder())
sys.exit(main())
"""


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("number", [1, 2, 5, 20, 50, 80])
def test_interrupt_while_modules_are_imported_is_one_word(number: int) -> None:
    assert run("-c", PROGRAM, str(number), "interrupt", "backends") == (130, "", "\ninterrupted\n")


@pytest.mark.parametrize(
    "where",
    [
        "within_a_callback",
        "within_what_takes_it_for_an_error",
    ],
)
def test_interrupt_that_an_import_swallows_is_not_lost(where: str) -> None:
    assert run("-c", PROGRAM, "50", where, "backends") == (130, "", "\ninterrupted\n")


CLEANING = """
import signal, sys
from lmkernel.cli.models import Models

def run(*_):
    try:
        exec("signal.raise_signal(signal.SIGINT)")  # after which an interpreter ends by the signal
    finally:
        raise AttributeError("what a clean-up of argparse finds half made")

Models.run = run
signal.signal(signal.SIGINT, signal.default_int_handler)
from lmkernel.start import main
sys.exit(main())
"""


def test_interrupt_in_whose_place_a_clean_up_raises_is_one_word() -> None:
    assert run("-c", CLEANING, "models") == (130, "", "\ninterrupted\n")


def test_interrupt_after_the_end_leaves_at_once() -> None:
    late = (
        "import atexit, os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from lmkernel.start import main\n"
        "interrupt = lambda: signal.raise_signal(signal.SIGINT)\n"
        "atexit.register(lambda: [os.write(2, b'once'), interrupt()])\n"
        "sys.exit(main())\n"
    )
    code, out, error = run("-c", late, "--version")
    assert (code, error) == (130, "once")
    assert out.startswith("lmkernel ")


def test_ignored_interrupt_stays_ignored() -> None:
    """As under nohup."""
    ignoring = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from lmkernel.start import main\n"
        "code = main()\n"
        "signal.raise_signal(signal.SIGINT)\n"
        "sys.exit(code)\n"
    )
    code, out, error = run("-c", ignoring, "--version")
    assert (code, error) == (0, "")
    assert out.startswith("lmkernel ")


def test_other_errors_keep_their_traceback() -> None:
    code, _, error = run("-c", PROGRAM.replace("happens()", "1 / 0"), "50", "wait", "backends")
    assert code == 1
    assert error.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("module", ["lmkernel", "lmkernel.cli"])
def test_modules_are_the_program(module: str) -> None:
    code, out, _ = run("-m", module, "--version")
    assert code == 0
    assert out.startswith("lmkernel ")


def test_start_module_imports_what_an_interpreter_has() -> None:
    """Until it stands guard, no import can be interrupted."""
    code = f"""
import os, sys
sys.path[:] = {sys.path!r}
before = {{*sys.modules}}
import lmkernel.start
print(*sorted({{*sys.modules}} - before))
"""
    _, out, _ = run("-S", "-c", code)
    assert out.split() == ["__future__", "lmkernel", "lmkernel.start"]
