"""Fine-tuning to tag and to answer, through the commands, and what the models are asked then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from training_files import done, pretraining, rows, said

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]
TAGGED = [{"tokens": ["a", "river"], "tags": ["O", ("B-X", "B-Y")[n % 2]]} for n in range(20)]
ASKED = [
    {"question": "q", "context": "a river", "answers": ("river", "a")[n % 2]} for n in range(20)
]


@pytest.fixture
def bert(tmp_path: Path, text: Path) -> Path:
    """A run that learnt to guess hidden tokens."""
    done(*pretraining(text, tmp_path / "bert", "--family", "bert", "--objective", "masked"))
    return tmp_path / "bert"


def lines(capsys: Capture, *arguments: object) -> list[Any]:
    capsys.readouterr()
    done(*arguments)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_tagging(tmp_path: Path, bert: Path, capsys: Capture) -> None:
    data, out = rows(tmp_path / "a.jsonl", TAGGED), tmp_path / "run"
    done(
        *("finetune", bert, "--objective", "tagging", "--data", data, "--out", out),
        *("--steps", "2", "--quiet"),
    )
    written = json.loads((out / "model" / "config.json").read_text())
    assert written["architectures"] == ["BertForTokenClassification"]
    assert list(written["id2label"].values()) == ["B-X", "B-Y", "O"]
    [found] = lines(capsys, "tag", out, "a river")
    assert {one["label"] for one in found["tags"]} <= {"X", "Y"}
    measured = lines(capsys, "evaluate", out, "--objective", "tagging", "--data", data, "--json")
    assert {"loss", "accuracy"} <= measured[0].keys()


def test_answers(tmp_path: Path, bert: Path, capsys: Capture) -> None:
    data, out = rows(tmp_path / "a.jsonl", ASKED), tmp_path / "run"
    done(
        *("finetune", bert, "--objective", "answers", "--data", data, "--out", out),
        *("--steps", "2", "--quiet"),
    )
    written = json.loads((out / "model" / "config.json").read_text())
    assert written["architectures"] == ["BertForQuestionAnswering"]
    [found] = lines(capsys, "answer", out, "q", "a river", "--always")
    assert found["answer"] in "a river"
    measured = lines(capsys, "evaluate", out, "--objective", "answers", "--data", data, "--json")
    assert 0 <= measured[0]["exact_match"] <= measured[0]["span_f1"] <= 1


def test_scores(tmp_path: Path, bert: Path, capsys: Capture) -> None:
    pairs = ({"query": "q", "document": ("a", "river")[n % 2], "label": n % 2} for n in range(20))
    data, out = rows(tmp_path / "a.jsonl", pairs), tmp_path / "run"
    done(
        *("finetune", bert, "--objective", "scores", "--data", data, "--out", out),
        *("--steps", "2", "--quiet"),
    )
    written = json.loads((out / "model" / "config.json").read_text())
    assert written["architectures"] == ["BertForSequenceClassification"]
    assert written["id2label"] == {"0": "LABEL_0"}
    [found] = lines(capsys, "rerank", out, "q", "a", "river")
    assert {one["text"] for one in found["ranked"]} == {"a", "river"}
    measured = lines(capsys, "evaluate", out, "--objective", "scores", "--data", data, "--json")
    assert -1 <= measured[0]["spearman"] <= 1


def test_a_model_of_several_classes_gets_no_scores(
    tmp_path: Path, bert: Path, capsys: Capture
) -> None:
    pair, out = {"text": "a", "second": "b"}, tmp_path / "run"
    labelled = rows(tmp_path / "a.jsonl", ({**pair, "label": n % 2} for n in range(8)))
    scored = rows(tmp_path / "b.jsonl", ({**pair, "score": 1} for _ in range(8)))
    base = ("--steps", "1", "--quiet", "--out")
    asked = ("--objective", "classification", "--data", labelled)
    done("finetune", bert, *asked, *base, out)
    asked = ("--objective", "scores", "--data", scored)
    message = said(capsys, "finetune", out, *asked, *base, tmp_path / "t")
    assert message.endswith("expected a model with one output, or none yet, got classes 0, 1")


@pytest.mark.parametrize("objective", ["tagging", "answers"])
def test_a_decoder_is_refused(objective: str, tmp_path: Path, run: Path, capsys: Capture) -> None:
    data = rows(tmp_path / "a.jsonl", TAGGED)
    message = said(capsys, "finetune", run, "--objective", objective, "--data", data)
    assert f"objective '{objective}': a gpt2 model is trained by causal or instruction" in message
