"""Data that the commands refuse, named with their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from run_folders import LABELLED
from training_files import done, pretraining, rows, said

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TAUGHT = [{"prompt": f"Name {n}", "completion": "stone"} for n in range(12)]
Capture = pytest.CaptureFixture[str]


def _unreadable(path: Path) -> None:
    path.symlink_to(path)  # a file that cannot be opened, whoever asks


@pytest.mark.parametrize(
    ("name", "made", "complaint"),
    [
        ("a.txt", b"", "a.txt: expected data, got an empty file"),
        ("a.txt", b"abc\0def", "a.txt: expected text, got a binary file: a zero byte at offset 3"),
        ("a.txt", b"caf\xe9", "a.txt: expected UTF-8, got the byte 0xE9 at offset 3"),
        ("a.txt", _unreadable, "a.txt: "),
        ("a.txt", None, "a.txt: no such file; expected a file, a folder or one of python-topics"),
        (
            "a.jsonl",
            b'{"text": "one"}\n{"text": }\n',
            "a.jsonl: line 2: expected a JSON object, Expecting value at character 10",
        ),
        ("a.jsonl", b'{"text": "one"}\n[]\n', "a.jsonl: line 2: expected a JSON object, got list"),
        (
            "a.jsonl",
            b'{"text": "one"}\n{"words": "two"}\n',
            "a.jsonl: line 2: expected a column 'text', got the columns words",
        ),
        (
            "a.csv",
            b"words\none\n",
            "a.csv: line 2: expected a column 'text', got the columns words",
        ),
        ("a.csv", b"text,n\none\n", "a.csv: line 2: expected 2 values, one for each of text, n"),
    ],
)
def test_bad_data_are_named_with_their_place(
    tmp_path: Path,
    out: Path,
    capsys: Capture,
    name: str,
    made: bytes | Callable[[Path], None] | None,
    complaint: str,
) -> None:
    data = tmp_path / name
    if isinstance(made, bytes):
        data.write_bytes(made)
    elif made is not None:
        made(data)
    assert said(capsys, *pretraining(data, out)).startswith(f"{tmp_path}/{complaint}")
    assert not out.exists()


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"prompt": "a"}, "line 13: expected the column messages "),
        ({"prompt": "a", "completion": 3}, "line 13: expected "),
        ({"prompt": "a", "completion": "long " * 40}, "line 13: expected at most 17 tokens"),
    ],
)
def test_a_bad_instruction_is_named_with_its_line(
    tmp_path: Path, run: Path, capsys: Capture, row: dict[str, Any], complaint: str
) -> None:
    with_template(run / "model")
    data = rows(tmp_path / "a.jsonl", [*TAUGHT, row])
    got = said(capsys, "finetune", run / "model", "--data", data, "--out", tmp_path / "t")
    assert got.startswith(f"{data}: {complaint}")


def with_template(model: Path) -> None:
    """A chat template that only joins."""
    (model / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"text": "x", "label": "z"}, "line 2: expected one of the labels s, w in the column "),
        ({"text": "x", "label": 1.5}, "line 2: expected a text or a whole number in the column "),
        ({"text": "x"}, "line 2: expected a column 'label'"),
        ({"text": "long " * 40, "label": "w"}, "line 2: expected at most 16 tokens"),
    ],
)
def test_a_label_outside_the_models_is_named_with_its_line(
    tmp_path: Path, encoder: Path, capsys: Capture, row: dict[str, Any], complaint: str
) -> None:
    data = rows(tmp_path / "a.jsonl", [LABELLED[0], row, LABELLED[1]])
    for command in (
        ("finetune", encoder, "--out", tmp_path / "t"),
        ("evaluate", encoder),
    ):
        got = said(capsys, *command, "--objective", "classification", "--data", data)
        assert got.startswith(f"{data}: {complaint}")


def test_a_token_outside_the_vocabulary_is_refused(
    tmp_path: Path, text: Path, run: Path, capsys: Capture
) -> None:
    """Of a model whose tokenizer knows more tokens than its embedding has."""
    done(*pretraining(text, tmp_path / "more", "--vocab", "300"))
    tokenizer = tmp_path / "more" / "model" / "tokenizer.json"
    (run / "model" / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    for command in (("pretrain", "--out", tmp_path / "t", "--start"), ("evaluate",)):
        got = said(capsys, *command, run / "model", "--data", text)
        assert "expected tokens in 0 … 279, got 2" in got


def test_a_context_beyond_the_models_is_refused(
    tmp_path: Path, text: Path, run: Path, capsys: Capture
) -> None:
    expected = "data.context: expected at most the model's context of 16, got 17"
    base = ("finetune", run / "model", "--objective", "causal", "--data", text)
    assert said(capsys, *base, "--set", "data.context=17", "--out", tmp_path / "t") == expected
    assert said(capsys, "evaluate", run / "model", "--data", text, "--context", "17") == expected
