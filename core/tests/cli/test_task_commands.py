"""Tasks as commands: JSON lines in and out, columns by common names, and what is refused."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from inspected import small_llama
from task_models import TAGS, task_bert
from training_files import done, rows, said

import lmkernel as lk
from lmkernel.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
COMMANDS = ("classify", "tag", "fill", "answer", "rerank", "perplexity", "embed")


def lines(capsys: Capture, *arguments: object) -> list[Any]:
    capsys.readouterr()
    done(*arguments)
    return [json.loads(line) for line in capsys.readouterr().out.split("\n") if line]


def give(monkeypatch: Patch, text: str) -> None:
    """Text on standard input."""
    made = SimpleNamespace(buffer=io.BytesIO(text.encode()), isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", made)


def test_tag(tmp_path: Path, capsys: Capture, monkeypatch: Patch) -> None:
    model = task_bert(tmp_path / "m", "TokenClassification", TAGS)
    texts = ["ab cd", "efg"]
    expected = lk.tag(model, texts, words="simple").json()
    how = ("--words", "simple")
    assert lines(capsys, "tag", tmp_path / "m", *texts, *how) == expected
    data = rows(tmp_path / "a.jsonl", ({"body": text, "n": 1} for text in texts))
    found = lines(capsys, "tag", tmp_path / "m", "--data", data, "--column", "text=body", *how)
    assert found == expected
    give(monkeypatch, "".join(json.dumps({"text": text}) + "\n" for text in texts))
    assert lines(capsys, "tag", tmp_path / "m", "--data", "-", *how, "--batch", 1) == expected


def test_fill(tmp_path: Path, capsys: Capture, monkeypatch: Patch) -> None:
    model = task_bert(tmp_path / "m", "MaskedLM")
    give(monkeypatch, "a[MASK]\n[MASK]\n")
    found = lines(capsys, "fill", tmp_path / "m", "--top", 2)
    assert found == lk.fill(model, ["a[MASK]", "[MASK]"], top=2).json()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a[MASK]\n\n[MASK]\n", "standard input, line 2: expected a text, got an empty line"),
        ("a[MASK]\n \n", "standard input, line 2: expected a text, got an empty line"),
        ("\n\n", "standard input, line 1: expected a text, got an empty line"),
        ("", "expected a text of at least one character, got an empty one"),
    ],
    ids=range(4),
)
def test_no_line_is_passed_over(
    given: str, said: str, tmp_path: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    task_bert(tmp_path / "m", "MaskedLM")
    give(monkeypatch, given)
    assert main(["fill", str(tmp_path / "m")]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_json_loses_no_character_of_a_narrow_stream(
    encoding: str, tmp_path: Path, monkeypatch: Patch
) -> None:
    task_bert(tmp_path / "m", "MaskedLM")
    text = "a[MASK] é 🦜 –"
    narrow = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    monkeypatch.setattr(sys, "stdout", narrow)
    assert main(["fill", str(tmp_path / "m"), text]) == 0
    narrow.flush()
    found = json.loads(narrow.buffer.getvalue().decode(encoding))  # type: ignore[attr-defined]  # of bytes
    assert found["text"] == text


def test_answer(tmp_path: Path, capsys: Capture, monkeypatch: Patch) -> None:
    model = task_bert(tmp_path / "m", "QuestionAnswering")
    asked = ("ab?", "cdef gh")
    expected = lk.answer(model, [asked], no_answer=False).json()
    assert lines(capsys, "answer", tmp_path / "m", *asked, "--always") == expected
    give(monkeypatch, asked[1])
    assert lines(capsys, "answer", tmp_path / "m", asked[0], "--always") == expected
    for names in (("question", "context"), ("query", "document")):
        data = rows(tmp_path / "a.jsonl", [dict(zip(names, asked, strict=True))])
        assert lines(capsys, "answer", tmp_path / "m", "--data", data, "--always") == expected


def test_lines_end_where_those_of_a_file_do(
    tmp_path: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    """Other separators of Unicode stand in a text; a mark of UTF-8 at the beginning is no text."""
    model = small_llama(tmp_path / "m")
    texts = ["ab\u2028c", "d\x85e\x0bf\x1cg", "hi"]
    expected = [(one.text, one.tokens) for one in lk.perplexity(model, texts)]
    said = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    for given, more in (("\r\n".join(texts), ()), ("\n".join(said), ("--data", "-"))):
        give(monkeypatch, f"\ufeff{given}")
        found = lines(capsys, "perplexity", tmp_path / "m", *more)
        assert [(one["text"], one["tokens"]) for one in found] == expected


def test_rerank(tmp_path: Path, capsys: Capture, monkeypatch: Patch) -> None:
    model = task_bert(tmp_path / "m", "SequenceClassification", num_labels=1)
    documents = ["cd", "ef", "ghi"]
    expected = lk.rerank(model, [("ab", documents)], top=2).json()
    assert lines(capsys, "rerank", tmp_path / "m", "ab", *documents, "--top", 2) == expected
    give(monkeypatch, "cd\nef\nghi\n")
    assert lines(capsys, "rerank", tmp_path / "m", "ab", "--top", 2) == expected
    data = rows(tmp_path / "a.jsonl", [{"query": "ab", "passages": documents}])
    assert lines(capsys, "rerank", tmp_path / "m", "--data", data, "--top", 2) == expected
    table = tmp_path / "a.csv"
    table.write_text('query,passages\nab,"[""cd"", ""ef"", ""ghi""]"\n', "utf-8")
    assert lines(capsys, "rerank", tmp_path / "m", "--data", table, "--top", 2) == expected


def test_perplexity(tmp_path: Path, capsys: Capture) -> None:
    small_llama(tmp_path / "m")
    expected = lk.perplexity(tmp_path / "m", ["abc", "hello"], backend="numpy").json()
    found = lines(capsys, "perplexity", tmp_path / "m", "abc", "hello", "--batch", 1)
    assert [one["tokens"] for one in found] == [one["tokens"] for one in expected]
    assert found[1]["perplexity"] == pytest.approx(expected[1]["perplexity"], rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tag", "a", "--batch", "0"), "--batch: expected a whole number of at least 1, got 0"),
        (("tag", "--column", "x=y", "--data", "-"), "--column: expected text, second, got x"),
        (("tag", "a", "--data", "-"), "expected texts as arguments or --data, got both"),
        (("tag", "a"), "objective tagging, got a bert model that is not"),
        (("answer",), "expected a question and its document, or --data"),
        (("answer", "a", "--data", "-"), "expected a question as an argument or --data, got both"),
        (("rerank",), "expected a query and its documents, or --data"),
        (("rerank", "a", "--data", "-"), "expected a query as an argument or --data, got both"),
        (("fill", "a"), "'a': expected at least one [MASK], got none"),
        (("perplexity", "ab"), "expected a model that predicts each token"),
    ],
)
def test_what_cannot_be_is_said(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: Capture
) -> None:
    task_bert(tmp_path / "m", "MaskedLM")
    command, *rest = arguments
    assert message in said(capsys, command, tmp_path / "m", *rest)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "standard input, line 2: expected a JSON object, got '{'"),
        ("[1]", "standard input, line 2: expected a JSON object, got '[1]'"),
        ('{"query": "a"}', "line 2: expected a column 'documents', got the columns query"),
        ('{"query": "a", "documents": "b"}', "line 2: expected a list of texts in the column"),
        ('{"query": "a", "documents": []}', "line 2: expected a list of texts in the column"),
        ('{"query": 1, "documents": ["b"]}', "line 2: expected text in the column 'query'"),
    ],
)
def test_a_line_that_is_wrong_is_named_after_those_before(
    line: str, message: str, tmp_path: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    task_bert(tmp_path / "m", "SequenceClassification", num_labels=1)
    give(monkeypatch, f'{{"query": "a", "documents": ["b"]}}\n{line}\n')
    assert main(["rerank", str(tmp_path / "m"), "--data", "-"]) == 1
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert message in err


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"text": ""}, "a.jsonl: line 3: "),
        ({"text": "a" * 999}, "a.jsonl: line 3: 'aaa"),
        ({"words": "a"}, "a.jsonl: line 3: expected a column 'text'"),
    ],
    ids=["empty", "long", "column"],
)
@pytest.mark.parametrize("batch", [1, 2, 8])
def test_a_row_that_fails_is_named_after_what_is_found_before_it(
    wrong: dict[str, str], message: str, batch: int, tmp_path: Path, capsys: Capture
) -> None:
    small_llama(tmp_path / "m")
    data = rows(tmp_path / "a.jsonl", [{"text": "ab"}, {"text": "abc"}, wrong, {"text": "abcd"}])
    command = ["perplexity", str(tmp_path / "m"), "--data", str(data), "--batch", str(batch)]
    assert main(command) == 1
    out, err = capsys.readouterr()
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["ab", "abc"]
    assert message in err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_only_columns_that_are_read(command: str, capsys: Capture) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "completion" not in shown
    assert "--data" in shown
