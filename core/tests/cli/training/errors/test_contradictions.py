"""What contradicts itself is refused by naming both sides, and nothing is left or changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from run_folders import untouched
from training_files import SIZES, done, rows, said

import lmkernel as lk
from lmkernel.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (("--width", 64), "width"),
        (("--width", 128), "width"),  # also where it is the usual one
        (("--layers", 1), "layers"),
        (("--heads", 1), "heads"),
        (("--vocab", 300), "vocab"),
        (("--context", 8), "context"),
        (("--family", "llama"), "family"),
        (("--set", "model.hidden=8"), "hidden"),
        (("--set", "model.dropout=0.1"), "dropout"),
        (("--set", "model.tokenizer=x"), "tokenizer"),
    ],
)
def test_a_start_has_no_sizes_of_a_new_model(
    tmp_path: Path, run: Path, capsys: Capture, flags: tuple[object, ...], name: str
) -> None:
    out = tmp_path / "b"
    got = said(capsys, "pretrain", "--start", run, "--out", out, *flags)
    assert got.startswith(f"model.{name}: expected none beside model.start={str(run)!r}, whose own")
    assert ("data.context says" in got) == (name == "context")
    assert not out.exists()


def test_nor_in_a_file_nor_in_python(tmp_path: Path, run: Path, text: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("[model]\nwidth = 64\n")
    for asked in ({"config": file}, {"width": 64}, {"settings": {"model.width": 64}}):
        with pytest.raises(ConfigError, match=r"model\.width: expected none beside model\.start="):
            lk.pretrain(text, start=run, out=tmp_path / "b", progress=False, **asked)
    with pytest.raises(ConfigError, match=r"model\.layers: expected none beside model\.start="):
        lk.finetune(run, text, layers=2, progress=False)


def test_a_resumed_run_keeps_its_model_objective_and_adapters(run: Path, capsys: Capture) -> None:
    for flags, key in (
        (("--width", "64"), "model.width: expected 16"),
        (("--family", "llama"), "model.family: expected 'gpt2'"),
        (("--set", "lora.rank=2"), "lora: expected none for a new model"),
        (("--batch", "7"), "training.batch: expected"),
        (("--seed", "7"), "training.seed: expected 0, as the run began, got 7"),
        (("--set", "optimizer.kind=muon"), "optimizer.kind: expected 'adamw'"),
        (("--start", str(run)), "--resume: the folder says which model; leave out --start"),
    ):
        assert key in untouched(run, capsys, "pretrain", "--resume", run, *flags)
    with pytest.raises(ConfigError, match="objective: expected 'causal', as the run began"):
        lk.resume(run, objective="masked")


def test_a_run_is_resumed_by_the_command_that_began_it(
    tmp_path: Path, run: Path, capsys: Capture
) -> None:
    got = untouched(run, capsys, "finetune", "--resume", run)
    assert got == (
        f"--resume: expected a run of finetune, got {run}, which pre-trains a new model; "
        f"go on with: lmkernel pretrain --resume {run}"
    )
    data = rows(tmp_path / "a.jsonl", ({"prompt": "a", "completion": "b"} for _ in range(12)))
    tuned, few = tmp_path / "t", ("--steps", 1, "--quiet")
    done("finetune", run, "--data", data, "--lora", 2, *few, "--out", tuned)
    got = untouched(tuned, capsys, "pretrain", "--resume", tuned)
    assert f"which fine-tunes {run}; go on with: lmkernel finetune --resume {tuned}" in got
    got = untouched(tuned, capsys, "finetune", "--resume", tuned, "--lora", 4)
    assert got.startswith("lora: expected LoraConfig(rank=2, ")


def test_sizes_alone_make_a_new_model(tmp_path: Path, text: Path) -> None:
    done("pretrain", *SIZES, "--data", text, "--steps", 1, "--quiet", "--out", tmp_path / "n")
