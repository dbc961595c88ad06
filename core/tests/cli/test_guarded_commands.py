"""What a plugin's command does wrong is told by its name; what it says on purpose goes through."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from inspected import small_llama
from own_backends import Own, install

if TYPE_CHECKING:
    from pathlib import Path

PLUGIN = """
import io, os, sys
from lmkernel.cli import Command
from lmkernel.cli.main import main
from lmkernel.errors import InputError
from lmkernel.plugins import CommandSpec, Registry, hookimpl

class Own(BaseException):
    pass

def own_type(text):
    raise Own("bad type")

class Do(Command):
    def configure(self, parser):
        if "misconfigured" in sys.argv:
            raise Own("configured")
        parser.add_argument("code", help="100%" if "--help" in sys.argv else "code")
        parser.add_argument("--number", type=own_type)

    def run(self, args):
        names = {}
        exec(args.code, globals(), names)
        return names.get("code", 0)

class Plugin:
    @hookimpl
    def lmkernel_register_commands(self):
        return [CommandSpec(name="do", load="__main__:Do", contract="1.0", help="do 100% of it")]

sys.exit(main(registry=Registry({"plugin": Plugin()})))
"""
OUT_OF_RANGE = "command 'do': expected an exit code in 0 … 255, got "


EXITING = """
def overrides(parts):
    def linear(*_):
        raise SystemExit(0)
    return {"linear": linear}
"""


def test_h4_what_a_built_in_command_calls_does_not_end_the_program(tmp_path: Path) -> None:
    install(tmp_path, "exiting", Own(source=EXITING))
    small_llama(tmp_path / "model")
    asked = ("generate", "model", "ab", "--backend", "exiting")
    done = subprocess.run(
        [sys.executable, "-m", "lmkernel", *asked],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        r"lmkernel: error: .*exiting.backend\.py, line \d+: SystemExit: 0\n", done.stderr
    )


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("commands") / "program.py"
    path.write_text(PLUGIN, "utf-8")
    return path


def run(program: Path, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, str(program), "do", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise Own('x')", "command 'do': Own: x"),
        ("raise GeneratorExit", "command 'do': GeneratorExit:"),
        ("1 / 0", "command 'do': ZeroDivisionError: division by zero"),
        ("raise OSError('elsewhere')", "command 'do': OSError: elsewhere"),
        ("raise BrokenPipeError(32, 'a socket')", "command 'do': BrokenPipeError: [Errno 32] a"),
        ("open('/no/such')", "lmkernel: error: /no/such: No such file or directory"),
        ("raise InputError('on purpose')", "lmkernel: error: on purpose"),
        ("raise SystemExit(type('E', (), {'__str__': None})())", "command 'do': TypeError"),
        ("code = 300", OUT_OF_RANGE + "300"),
        ("code = -1", OUT_OF_RANGE + "-1"),
        ("code = None", OUT_OF_RANGE + "None"),
        ("code = True", OUT_OF_RANGE + "True"),
        ("raise SystemExit(300)", OUT_OF_RANGE + "300"),
        ("sys.stdout.buffer.close()", "command 'do': ValueError: I/O operation on closed file"),
        ("sys.stdout.detach()", "command 'do': ValueError: underlying buffer has been detached"),
        ("sys.stdout = type('S', (), {'write': len, 'isatty': len})", "command 'do': AttributeErr"),
    ],
)
def test_what_goes_wrong_is_one_sentence(program: Path, code: str, said: str) -> None:
    ended, _, errors = run(program, code)
    assert ended == 1
    assert said in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["misconfigured"], "command 'do': Own: configured"),
        (["--help"], "command 'do': ValueError: "),
        (["", "--number", "3"], "command 'do': Own: bad type"),
    ],
)
def test_its_arguments_are_its_own_code(program: Path, arguments: list[str], said: str) -> None:
    ended, _, errors = run(program, *arguments)
    assert (ended, errors.count("\n")) == (1, 1)
    assert said in errors


@pytest.mark.parametrize(
    ("code", "ended", "out", "errors"),
    [
        ("print('result'); sys.stdout.close()", 0, "result\n", ""),
        ("print('result'); sys.stdout = None", 0, "result\n", ""),
        ("sys.stdout = io.TextIOWrapper(sys.stdout.buffer); print('result')", 0, "result\n", ""),
        ("print('result'); code = 7", 7, "result\n", ""),
        ("raise SystemExit('a text')", 1, "", "a text\n"),
        ("raise SystemExit(ValueError('a text'))", 1, "", "a text\n"),
        ("raise SystemExit", 0, "", ""),
        ("raise SystemExit(3)", 3, "", ""),
        ("raise KeyboardInterrupt", 130, "", "\ninterrupted\n"),
    ],
)
def test_what_it_says_goes_through(
    program: Path, code: str, ended: int, out: str, errors: str
) -> None:
    assert run(program, code) == (ended, out, errors)
