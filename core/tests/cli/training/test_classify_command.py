"""Classes from the command: texts, lines and rows in, a JSON object each out."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from run_folders import LABELLED
from training_files import done, pretraining, rows, said

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def classifier(tmp_path: Path, text: Path) -> Path:
    """A run that learnt two classes."""
    more = ("--family", "bert", "--objective", "masked")
    done(*pretraining(text, tmp_path / "bert", *more))
    data = rows(tmp_path / "a.jsonl", LABELLED)
    base = ("finetune", tmp_path / "bert", "--objective", "classification", "--data", data)
    done(*base, "--quiet", "--steps", "1", "--out", tmp_path / "t")
    return tmp_path / "t"


def lines(capsys: Capture, *arguments: object) -> tuple[list[Any], str]:
    """The objects, and what is said besides."""
    capsys.readouterr()
    done("classify", *arguments)
    out, err = capsys.readouterr()
    return [json.loads(line) for line in out.splitlines()], err


def test_texts_lines_and_rows_have_the_same_classes(
    tmp_path: Path, classifier: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["a river", "é", "stone"]
    found, err = lines(capsys, classifier, *texts)
    assert [one["text"] for one in found] == texts
    assert all(set(one["scores"]) == {"s", "w"} for one in found)
    assert all(one["score"] == one["scores"][one["label"]] for one in found)
    assert err == ""
    data = rows(tmp_path / "b.jsonl", ({"body": text, "id": 1} for text in texts))
    again, err = lines(capsys, classifier, "--data", data, "--column", "text=body", "--batch", 2)
    assert [one["label"] for one in again] == [one["label"] for one in found]
    assert err == f"{data}: columns that are not used: id\n"
    pairs, _ = lines(
        capsys, classifier, "--data", data, *("--column", "text=body"), "--column", "second=body"
    )
    assert pairs[0]["text"] == ["a river", "a river"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("a river\né\n".encode())))
    assert [one["text"] for one in lines(capsys, classifier)[0]] == texts[:2]


def test_what_cannot_be_classified_is_said(
    tmp_path: Path, classifier: Path, capsys: Capture
) -> None:
    data = rows(tmp_path / "b.jsonl", [{"body": "x"}])
    for arguments, complaint in (
        ((classifier, "--data", data), f"{data}: line 1: expected a column 'text', got the col"),
        ((classifier, "x", "--data", data), "expected texts as arguments or --data, got both"),
        ((classifier, "x", "--batch", 0), "--batch: expected a whole number of at least 1, got 0"),
        ((classifier, "x" * 99), "'xxx"),
        ((tmp_path / "bert", "x"), "expected a model that was fine-tuned by the objective class"),
    ):
        assert said(capsys, "classify", *arguments).startswith(complaint)
    done("classify", classifier, "x" * 99, "--truncate")
