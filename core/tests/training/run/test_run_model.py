"""What a run's model says of itself follows from what it is trained for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from small_bert import BERT, small_bert
from training_files import rows

import lmkernel as lk
from lmkernel.checkpoints.directory import write_directory
from lmkernel.families.bert import Bert
from lmkernel.families.names import from_ours
from lmkernel.model import Model
from lmkernel.training.data.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

KIND = "BertForSequenceClassification"
SINGLE, SEVERAL = "single_label_classification", "multi_label_classification"
LABELLED = [{"text": f"row {n}", "label": ("no", "yes")[n % 2]} for n in range(12)]
SCORED = [{"text": f"row {n}", "second": "x", "score": n % 2} for n in range(12)]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "home"))


def base(folder: Path, labels: tuple[str, ...], **said: Any) -> Path:
    """A classifier with some labels."""
    names = {str(number): label for number, label in enumerate(labels)}
    more = {"architectures": [KIND], "vocab_size": 261, "id2label": names, **said}
    model = Model(lk.load_backend("numpy"), small_bert(KIND, **more))
    tensors = from_ours(model.initial(3), Bert().rules(model.config), model.declare())
    tokenizer = train_tokenizer(["q"], 261, Bert().special_tokens())
    write_directory(folder, config={**BERT, **more}, tensors=tensors, tokenizer=tokenizer)
    return folder


def tune(folder: Path, start: Path, objective: str, **more: Any) -> lk.TrainingRun:
    data = rows(folder / "a.jsonl", LABELLED if objective == "classification" else SCORED)
    more = {"steps": 1, "progress": False, "backend": "numpy", **more}
    return lk.finetune(start, data, out=folder / "run", objective=objective, **more)


@pytest.mark.parametrize("said", [{}, {"problem_type": SEVERAL}, {"problem_type": "regression"}])
def test_a_model_that_learnt_one_label_a_text_says_so(tmp_path: Path, said: dict[str, str]) -> None:
    """The key of transformers 5.24, whose loss of it is the cross-entropy of a softmax."""
    run = tune(tmp_path, base(tmp_path / "base", ("no", "yes"), **said), "classification")
    assert json.loads((run.model / "config.json").read_text())["problem_type"] == SINGLE
    [found] = run.load("numpy").classify(["a text"])
    assert sum(found.scores.values()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("said", [{}, {"problem_type": SINGLE}, {"problem_type": "regression"}])
def test_a_model_that_learnt_scores_says_so(tmp_path: Path, said: dict[str, str]) -> None:
    """There a sigmoid's cross-entropy is the loss of several labels."""
    run = tune(tmp_path, base(tmp_path / "base", ("LABEL_0",), **said), "scores")
    assert json.loads((run.model / "config.json").read_text())["problem_type"] == SEVERAL


def test_adapters_that_cannot_say_it_are_named(tmp_path: Path) -> None:
    start = base(tmp_path / "base", ("no", "yes"), problem_type=SEVERAL)
    heard: list[str] = []
    tune(tmp_path, start, "classification", lora=2, progress=lambda what, *_: heard.append(what))
    wanted = f"problem_type is {SEVERAL!r}, and adapters, which are trained as {SINGLE!r}"
    assert any(wanted in note for note in heard)
