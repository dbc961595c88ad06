"""Data for tiny runs, and the runs themselves, through the real command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lmkernel.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pytest

SIZES = ("--width", "16", "--layers", "1", "--heads", "2", "--context", "16", "--vocab", "280")
WORDS = ("river", "stone", "cloud", "maple", "lantern", "harbour", "meadow")


def story(path: Path, lines: int = 120) -> Path:
    """A text file that a small model can learn from, in blocks between blank lines."""
    told = (
        f"The {WORDS[n % 7]} is number {n} and after it comes the {WORDS[n * 3 % 7]}.\n"
        + "\n" * (n % 4 == 3)
        for n in range(lines)
    )
    path.write_text("".join(told))
    return path


def rows(path: Path, values: Iterable[Any]) -> Path:
    """A JSONL file."""
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def pretraining(data: Path, out: Path, *more: str) -> list[str]:
    """The arguments of a run of four steps with dropout, saved every second step."""
    return [
        *("pretrain", *SIZES, "--steps", "4", "--batch", "2", "--quiet"),
        *("--data", str(data), "--out", str(out), "--set", "model.dropout=0.2"),
        *("--set", "training.checkpoint_every=2", *more),
    ]


def said(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 1) -> str:
    """The one line that a command writes on standard error; it ends with the exit code."""
    capsys.readouterr()
    got = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert (got, out, err.count("\n")) == (code, "", 1), (got, out, err)
    return err.removeprefix("lmkernel: error: ").rstrip("\n")


def done(*arguments: object) -> None:
    """A command that succeeds."""
    assert main([str(argument) for argument in arguments]) == 0


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder and those in it, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
