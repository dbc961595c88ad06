"""Every option of the commands that read texts, with bytes that are no UTF-8 and with a number of
over 64 bits: a result or one sentence.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest
from letters import letters
from sequence_models import sequence_model
from small import small_config, write_small
from task_models import TAGS, task_bert

from lmkernel.backend import load_backend
from lmkernel.cli.main import main
from lmkernel.model import Model
from lmkernel.plugins import CommandSpec, default_registry

if TYPE_CHECKING:
    from pathlib import Path

BYTES, NUMBER = "\udc80x", str(10**20)
SHORT = ("--max-new-tokens", "2")
USUAL: dict[str, list[tuple[str, ...]]] = {
    "generate": [("small", "ab", *SHORT)],
    "chat": [("ab", "--model", "small", *SHORT)],
    "embed": [("small", "ab")],
    "perplexity": [("small", "ab ab")],
    "rerank": [("small", "ab", "ab")],
    "tag": [("tag", "ab")],
    "fill": [("mlm", "ab [MASK]")],
    "answer": [("qa", "ab", "ab ba")],
    "translate": [("t5", "ab", *SHORT), ("m2m", "ab", *SHORT, "--from", "en_XX", "--to", "fr_XX")],
    "summarize": [("t5", "ab", *SHORT)],
}
ENDLESS = {("translate", "--max-new-tokens"), ("summarize", "--max-new-tokens")}
"""A T5 has no longest context: it writes as many as it is asked for."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arguments")
    write_small(folder / "small", Model(load_backend("numpy"), small_config()), letters())
    task_bert(folder / "tag", "TokenClassification", TAGS)
    task_bert(folder / "mlm", "MaskedLM")
    task_bert(folder / "qa", "QuestionAnswering")
    for name, kind in {"t5": "t5", "m2m": "m2m 100"}.items():
        sequence_model(folder / name, kind)
    return folder


def options(command: str) -> list[tuple[str, str]]:
    """Each option of a command that has a value, with an odd one."""
    parser = argparse.ArgumentParser()
    registry = default_registry()
    registry.all(CommandSpec)[command].create(registry).configure(parser)
    valued = [x for x in parser._actions if x.option_strings and x.nargs != 0 and not x.choices]
    texts = [(x.option_strings[0], BYTES) for x in valued if x.type is None]
    return texts + [(x.option_strings[0], NUMBER) for x in valued if x.type is int]


@pytest.mark.parametrize("command", USUAL)
def test_an_odd_value_of_an_option_is_taken_or_refused(
    command: str,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path))
    monkeypatch.chdir(place)
    for usual in USUAL[command]:
        for option, value in options(command):
            if (command, option) in ENDLESS:
                continue
            code = main([command, *usual, option, value])
            err = capsys.readouterr().err
            assert (code, err[:17]) in ((0, err[:17]), (1, "lmkernel: error: ")), (option, err)


@pytest.mark.parametrize("command", ["generate", "chat"])
def test_a_stop_of_other_bytes_is_named(
    command: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    assert main([command, *USUAL[command][0], "--stop", BYTES]) == 1
    assert "error: stop: expected text that UTF-8 can express, got" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["translate", "embed", "answer", "fill"])
def test_a_batch_beyond_all_sizes_is_named(
    command: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    assert main([command, *USUAL[command][0], "--batch", NUMBER]) == 1
    assert "error: --batch: expected a whole number in 1 … " in capsys.readouterr().err
