"""What the refusals share: no debugging, a run of which nothing is left to read, a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from run_folders import LABELLED
from training_files import done, pretraining, rows

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _no_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LMKERNEL_DEBUG", raising=False)


@pytest.fixture
def run(run: Path, capsys: Capture) -> Path:
    """A finished run, of which nothing is left to read."""
    capsys.readouterr()
    return run


@pytest.fixture
def encoder(tmp_path: Path, text: Path, capsys: Capture) -> Path:
    """A small BERT with a head of two classes."""
    done(*pretraining(text, tmp_path / "b", "--family", "bert", "--objective", "masked"))
    data = rows(tmp_path / "known.jsonl", LABELLED)
    base = ("finetune", tmp_path / "b" / "model", "--objective", "classification", "--data", data)
    done(*base, "--steps", "1", "--quiet", "--out", tmp_path / "c")
    capsys.readouterr()
    return tmp_path / "c" / "model"
