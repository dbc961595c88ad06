"""The program's frame: help, errors and exit codes; commands are loaded only when chosen."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

import pytest

from lmkernel.cli import Command, plugin
from lmkernel.cli.main import main
from lmkernel.contract.version import CONTRACT_VERSION
from lmkernel.errors import InputError
from lmkernel.plugins import CommandSpec, Registry, hookimpl

if TYPE_CHECKING:
    import argparse

HEAVY = ("numpy", "scipy", "autograd", "torch", "tensorflow", "jax", "huggingface_hub", "tqdm")
BUILT_IN = (
    "backends", "models", "pull", "chat", "generate", "translate", "summarize", "caption",
    "transcribe",
    "pretrain", "finetune", "plan", "evaluate",
    "classify", "tag", "fill", "answer", "rerank", "perplexity", "embed", "compare",
    "verify", "bench", "quantize", "twin", "new",
)  # fmt: skip


@final
class Plugin:
    @hookimpl
    def lmkernel_register_commands(self) -> list[CommandSpec]:
        return [
            CommandSpec(
                contract=CONTRACT_VERSION, name="say", load=f"{__name__}:Say", help="say a word"
            ),
            CommandSpec(
                contract=CONTRACT_VERSION,
                name="absent",
                load="no_such_module:Absent",
                help="be absent",
            ),
            CommandSpec(
                contract=CONTRACT_VERSION, name="wrong", load="json:loads", help="be no command"
            ),
        ]


@final
class Say(Command):
    """Says a word, or raises what it is told to."""

    errors: ClassVar[dict[str, BaseException]] = {
        "input": InputError("expected a word,\n  got none"),
        "interrupt": KeyboardInterrupt(),
    }

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("word")
        parser.add_argument("--code", type=int, default=0)

    def run(self, args: argparse.Namespace) -> int:
        if args.word in self.errors:
            raise self.errors[args.word]
        if args.word == "careful":
            warnings.warn("be\n  careful", stacklevel=2)
        if args.word == "lengthy":
            warnings.warn("\x1b[2J" + "x" * 100_000, stacklevel=2)
        sys.stdout.write(f"{args.word}\n")
        return int(args.code)


@pytest.fixture
def registry() -> Registry:
    return Registry({"test": Plugin()})


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_command_runs(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["say", "hello"], registry=registry) == 0
    assert capsys.readouterr() == ("hello\n", "")


def test_exit_code_is_the_commands(registry: Registry) -> None:
    assert main(["say", "hello", "--code", "7"], registry=registry) == 7


def test_help_lists_all_and_imports_none(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--help"], registry=registry) == 0
    assert "  say     say a word\n  absent  be absent\n" in capsys.readouterr().out


def test_help_of_a_command(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["say", "--help"], registry=registry) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: lmkernel say [-h] [--code CODE] word\n\nSay a word.\n")


def test_no_command_shows_help_as_a_usage_error(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], registry=registry) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "commands:" in err


def test_unknown_command_is_a_usage_error_with_a_suggestion(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sya"], registry=registry) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == (
        "lmkernel: error: unknown command 'sya'. Did you mean 'say'? Available: absent, say, wrong"
    )


@pytest.mark.parametrize(
    "arguments", [["say"], ["say", "a", "b"], ["--bogus"], ["say", "--wo", "x"]]
)
def test_wrong_usage(
    registry: Registry, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(arguments, registry=registry) == 2
    assert "usage: lmkernel" in capsys.readouterr().err


def test_error_is_one_line(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["say", "input"], registry=registry) == 1
    assert capsys.readouterr() == ("", "lmkernel: error: expected a word, got none\n")


@pytest.mark.filterwarnings("always")
def test_warning_is_one_line(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    shown = warnings.showwarning
    assert main(["say", "careful"], registry=registry) == 0
    assert capsys.readouterr() == ("careful\n", "lmkernel: warning: be careful\n")
    assert warnings.showwarning is shown


@pytest.mark.filterwarnings("always")
def test_warning_of_what_a_file_holds_is_short_and_moves_no_cursor(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["say", "lengthy"], registry=registry) == 0
    said = capsys.readouterr().err
    assert said.startswith(r"lmkernel: warning: \x1b[2Jxxx")
    assert len(said) < 2100


@pytest.mark.parametrize("arguments", [["--debug", "say", "input"], ["say", "input", "--debug"]])
def test_debug_shows_the_traceback(
    registry: Registry, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(arguments, registry=registry) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.endswith("lmkernel: error: expected a word, got none\n")


def test_debug_variable_shows_the_traceback(
    registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMKERNEL_DEBUG", "1")
    assert main(["say", "input"], registry=registry) == 1
    assert capsys.readouterr().err.startswith("Traceback")


def test_interrupt(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["say", "interrupt"], registry=registry) == 130
    assert capsys.readouterr() == ("", "\ninterrupted\n")


def test_bug_of_a_built_in_command_is_no_error_on_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmkernel.cli.models.Models.run", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["models"], registry=Registry({"cli": plugin}))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent", "cannot be loaded from 'no_such_module:Absent': ModuleNotFoundError"),
        ("wrong", "expected json:loads to be a Command"),
    ],
)
def test_command_that_cannot_be_loaded(
    registry: Registry, capsys: pytest.CaptureFixture[str], name: str, reason: str
) -> None:
    assert main([name], registry=registry) == 1
    assert reason in capsys.readouterr().err


def test_built_in_commands_are_registered_in_the_order_of_help() -> None:
    assert tuple(Registry({"cli": plugin}).all(CommandSpec)) == BUILT_IN


def test_version_is_that_of_the_package_and_the_contract() -> None:
    done = run("-m", "lmkernel.cli", "--version")
    assert done.stdout == f"lmkernel 0.2.0 (contract {CONTRACT_VERSION})\n"


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "backends",
        "models",
        "pull --help",
        "pretrain --help",
        "finetune --help",
        "evaluate --help",
        "new --help",
        "nonsense",
    ],
)
def test_light_commands_import_no_heavy_library(command: str) -> None:
    done = run("-X", "importtime", "-m", "lmkernel.cli", *command.split())
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "lmkernel.cli.main" in imported
    assert imported.isdisjoint(HEAVY)


@pytest.mark.parametrize("command", ["--help", "backends"])
def test_light_commands_import_few_modules(command: str) -> None:
    done = run("-X", "importtime", "-m", "lmkernel.cli", command)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    own = {name for name in imported if name.startswith("lmkernel")}
    # starting up is importing, of which 200 modules take a tenth of a second on a common machine
    assert len(imported) <= 250, f"expected 250 modules at most, got {len(imported)}"
    assert len(own) <= 40, f"expected 40 modules of lmkernel at most, got {sorted(own)}"


def test_closed_pipe_is_quiet() -> None:
    command = [sys.executable, "-m", "lmkernel.cli", "backends", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        errors = child.stderr.read()
    assert (child.returncode, errors) == (141, "")


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", b"caf? ?\n"), ("cp1252", b"caf\xe9 ?\n"), ("utf-8", "café 🌍\n".encode())],
)
def test_b44_character_that_the_encoding_lacks_is_replaced(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, encoding: str, shown: bytes
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    assert main(["say", "café 🌍"], registry=registry) == 0
    assert written.getvalue() == shown


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["models", "--version"])
def test_full_disk_is_one_line(command: str, unbuffered: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lmkernel.cli", command],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    reason = b"standard output cannot be written: No space left on device"
    assert (done.returncode, done.stderr) == (1, b"lmkernel: error: " + reason + b"\n")


@pytest.mark.parametrize("said", ["-hi", "--help", "-5+3", "--"])
def test_what_follows_two_dashes_is_no_option(
    registry: Registry, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    assert main(["say", "--", said], registry=registry) == 0
    assert capsys.readouterr().out == f"{said}\n"


def test_b48_closed_output_takes_everything() -> None:
    command = [sys.executable, "-m", "lmkernel.cli", "models"]
    code = f"import os, sys; os.close(1); os.execv({command[0]!r}, {command!r})"
    done = run("-c", code)
    assert (done.returncode, done.stderr) == (0, "")


def test_error_that_is_not_the_outputs_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError("a disk elsewhere")

    monkeypatch.setattr("lmkernel.cli.models.Models.run", fail)
    with pytest.raises(OSError, match="a disk elsewhere"):
        main(["models"], registry=Registry({"cli": plugin}))


def test_no_memory_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> int:
        raise MemoryError("Unable to allocate 20.9 GiB")

    monkeypatch.setattr("lmkernel.cli.models.Models.run", fail)
    assert main(["models"], registry=Registry({"cli": plugin})) == 1
    said = "lmkernel: error: there is not enough memory: Unable to allocate 20.9 GiB\n"
    assert capsys.readouterr() == ("", said)
