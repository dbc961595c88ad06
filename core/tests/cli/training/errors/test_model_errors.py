"""Models that the commands refuse: none, or one that does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from run_folders import LABELLED
from training_files import done, rows, said

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


def test_commands_want_a_model(text: Path, capsys: Capture) -> None:
    assert said(capsys, "finetune", "--data", text).startswith("expected a model to start from")
    assert said(capsys, "evaluate", "--data", text).startswith("expected a model to evaluate")


def test_evaluation_wants_data(run: Path, capsys: Capture) -> None:
    assert said(capsys, "evaluate", run / "model").startswith("expected data to evaluate on")


def test_a_model_without_a_tokenizer_is_named(
    tmp_path: Path, text: Path, run: Path, capsys: Capture
) -> None:
    tokenizer = run / "model" / "tokenizer.json"
    tokenizer.unlink()
    base = ("--objective", "causal", "--data", text)
    got = said(capsys, "finetune", run / "model", *base, "--out", tmp_path / "t")
    assert got == (
        f"{tokenizer}: the model has no tokenizer.json, so no tokenizer; nor, in its place, "
        "spiece.model, source.spm with target.spm, or vocab.json of letters"
    )
    assert got == said(capsys, "evaluate", run / "model", *base)


@pytest.mark.parametrize("command", ["finetune", "evaluate"])
@pytest.mark.parametrize("objective", ["masked", "answers"])
def test_an_objective_that_does_not_fit_the_model_is_refused(
    text: Path, run: Path, capsys: Capture, command: str, objective: str
) -> None:
    got = said(capsys, command, run / "model", "--objective", objective, "--data", text)
    start = f"objective '{objective}': a gpt2 model is trained by causal or instruction or "
    start += "classification or scores"
    assert got.startswith(f"{start}; {objective} is for bert, roberta, ")


def test_adapters_are_refused_where_the_model_lacks_the_head(
    tmp_path: Path, encoder: Path, capsys: Capture
) -> None:
    data = rows(tmp_path / "a.jsonl", LABELLED)
    base = ("--objective", "classification", "--lora", "2", "--data", data)
    got = said(capsys, "finetune", tmp_path / "b" / "model", *base, "--out", tmp_path / "t")
    assert got.startswith(f"lora: {tmp_path / 'b' / 'model'} has no 'head.")
    done("finetune", encoder, *base, "--steps", "1", "--quiet", "--out", tmp_path / "t")
