"""What is written past Python, to the descriptor of standard output, is no result of a command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from bad_plugins import HOOK, Site

if TYPE_CHECKING:
    from pathlib import Path

NOISE = "import os; os.write(1, b'noise\\n')"
COMMAND = """
from lmkernel.cli.command import Command
from lmkernel.plugins import CommandSpec, hookimpl

@hookimpl
def lmkernel_register_commands():
    return [CommandSpec(name="loud", contract="1.0", help="write", load="bad_plugin:Loud")]

class Loud(Command):
    def configure(self, parser):
        pass

    def run(self, args):
        import subprocess
        print("first", flush=True)
        subprocess.run(["echo", "second"], check=True)
        return 0
"""


def run(site: Site, *arguments: str, script: str = "") -> tuple[str, str]:
    """What comes on standard output and on standard error."""
    environ = {**os.environ, "PYTHONPATH": str(site.folder)}
    program = ["-c", script] if script else ["-m", "lmkernel"]
    done = subprocess.run(
        [sys.executable, *program, *arguments],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout, done.stderr


@pytest.fixture
def loud(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_plugin_that_writes_to_the_descriptor_at_import_spoils_no_json(loud: Site) -> None:
    loud.add("bad", NOISE)
    out, error = run(loud, "backends", "--json")
    assert "numpy" in {found["name"] for found in json.loads(out)}
    assert "noise\n" in error


def test_nor_does_one_whose_hook_does(loud: Site) -> None:
    loud.add("bad", f"{HOOK}():\n    {NOISE}\n    return []\n")
    out, error = run(loud, "backends", "--json")
    json.loads(out)
    assert "noise\n" in error


def test_a_command_of_a_plugin_has_its_descriptor(loud: Site) -> None:
    loud.add("bad", f"{NOISE}\n{COMMAND}")
    assert run(loud, "loud") == ("first\nsecond\n", "noise\n")


@pytest.mark.parametrize("does", ["sys.stdout.detach()", "sys.stdout.buffer.close()"])
def test_an_output_that_a_command_takes_apart_is_one_sentence(loud: Site, does: str) -> None:
    loud.add("bad", COMMAND.replace("import subprocess\n", f"import sys; {does}; return 0\n"))
    done = subprocess.run(
        [sys.executable, "-m", "lmkernel", "loud"],
        env={**os.environ, "PYTHONPATH": str(loud.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"lmkernel: error: command 'loud': ValueError: .*\n", done.stderr)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_was_said_of_the_stream_stays(
    loud: Site, monkeypatch: pytest.MonkeyPatch, unbuffered: str
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1:backslashreplace")
    script = """
import sys
said = lambda s: (s.encoding, s.errors, s.line_buffering, s.write_through, s.newlines)
before = said(sys.stdout)
from lmkernel.cli.streams import use_own_descriptor
use_own_descriptor()
assert said(sys.stdout) == before, said(sys.stdout)
assert sys.stdout.fileno() == sys.__stdout__.fileno() > 2
print("✓")
"""
    assert run(loud, script=script) == ("\\u2713\n", "")


def test_where_standard_error_is_closed_asides_are_dropped(loud: Site) -> None:
    loud.add("bad", NOISE)
    script = (
        "import os, sys; os.close(2); sys.stderr = None;"
        "from lmkernel.start import main; sys.exit(main())"
    )
    out, _ = run(loud, "models", "--json", script=script)
    json.loads(out)
