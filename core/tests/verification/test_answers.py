"""A subject answers in real numbers, with whole ones as ids; another dtype is named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmkernel.errors import SubjectError
from lmkernel.verification.opening import OpenSubject, SubjectName, find_subject
from lmkernel.verification.sequences import Question, Row
from lmkernel.verification.subject import Answer, Opening, Subject
from lmkernel.verification.subjects.python import FunctionSubject
from lmkernel.verification.subjects.stdio import StdioSubject

LOGITS = np.arange(15, dtype=np.float32).reshape(1, 3, 5)
QUESTION = Question("tokens", (Row("tokens", (3, 1, 4)),))
ODD = [
    (LOGITS + 1j, "complex64"),
    (LOGITS.astype(str), "str"),
    (LOGITS > 1, "bool"),
    (LOGITS.astype("M8[s]"), "datetime64"),
    (LOGITS.astype("V8"), "void"),
    (np.array([object()] * 3), "object"),
    ([["1", None, 2.0]], "object"),
]
PROGRAM = """
import json, sys
print(json.dumps({{"capabilities": ["tokenizer"]}}), flush=True)
for line in sys.stdin:
    print(json.dumps({answer}), flush=True)
"""


def asked(made: Any) -> Answer:
    """What a function's answer is taken as."""

    def port(ids: Any) -> Any:
        del ids
        return made

    return FunctionSubject(Opening(Path()), port, "port").answer(QUESTION, activations=True)


@pytest.mark.parametrize(("made", "got"), ODD)
def test_a_function_gives_real_numbers(made: Any, got: str) -> None:
    with pytest.raises(SubjectError, match=f"^port: logits: expected real numbers, got {got}"):
        asked(made)
    with pytest.raises(SubjectError, match=f"^port: layer 0: expected real numbers, got {got}"):
        asked({"logits": LOGITS, "layer 0": made})


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8"])
def test_real_numbers_are_taken_as_they_are(dtype: str) -> None:
    values = asked(LOGITS.astype(dtype)).values
    assert np.array_equal(values, LOGITS)
    assert values.dtype == (dtype if dtype.startswith("float") else "float64")


def test_null_is_no_number() -> None:
    values = asked({"token_log_probs": [[-1, -2.5, None]]}).values
    assert np.array_equal(values, [[-1, -2.5, np.nan]], equal_nan=True)


def program(folder: Path, answer: Any) -> StdioSubject:
    """A program that gives one answer to everything."""
    (folder / "port.py").write_text(PROGRAM.format(answer=answer))
    return StdioSubject(Opening(folder, f"{sys.executable} {folder / 'port.py'}"))


@pytest.mark.parametrize(
    ("logits", "got"),
    [([[["1"]]], "str"), ([[[True]]], "bool"), ([[[1, "2"]]], "str"), ({}, "obj")],
)
def test_a_program_gives_real_numbers(tmp_path: Path, logits: Any, got: str) -> None:
    with pytest.raises(SubjectError, match=f"port.py: logits: expected real numbers, got {got}"):
        answered(program(tmp_path, {"logits": logits}))


def answered(subject: StdioSubject) -> Answer:
    try:
        return subject.answer(QUESTION, activations=False)
    finally:
        subject.close()


class Odd(Subject):
    """A plugin's own, which gives what a test says."""

    def __init__(self, made: Answer, ids: Any = ()) -> None:
        self.made, self.ids = made, ids

    def answer(self, question: Question, *, activations: bool) -> Answer:
        del question, activations
        return self.made

    def token_ids(self, text: str) -> Any:
        del text
        return self.ids

    def own_rows(self) -> Any:
        return [self.ids]


class Config:
    class head:  # noqa: N801 - stands for a field
        pooling = "none"
        size = 5


def opened(subject: Odd) -> OpenSubject:
    more: dict[str, Any] = {"dtype": "float32", "options": {}, "limit": 1.0}
    return OpenSubject(SubjectName("odd", "", lambda _: subject), Path(), Config(), **more)  # type: ignore[arg-type]  # a stand-in


@pytest.mark.parametrize(("made", "got"), ODD)
def test_a_plugins_subject_gives_real_numbers(made: Any, got: str) -> None:
    answers = {
        "logits": Answer(made),
        "layer 0": Answer(LOGITS, activations={"layer 0": made}),
        "step": Answer(LOGITS, step=made),
    }
    for name, answer in answers.items():
        told = f"^question 'tokens': {name}: expected real numbers, got {got}"
        with pytest.raises(SubjectError, match=told):
            opened(Odd(answer)).ask(QUESTION, activations=True)


def test_a_plugins_subject_may_give_lists() -> None:
    listed: Any = LOGITS.tolist()
    answer = Answer(listed, activations={"layer 0": listed})
    [row] = opened(Odd(answer)).ask(QUESTION, activations=True)
    assert np.array_equal(row.values, LOGITS[0])
    assert np.array_equal(row.activations["layer 0"], LOGITS[0])


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (["3", "1"], "expected whole numbers, got str"),
        ([3, 1.5], r"expected whole numbers, got 1\.5"),
        ([3, None], "expected whole numbers, got object"),
        ([[3], [1]], r"expected a list of whole numbers, got the shape \(2, 1\)"),
        ([[3], [1, 2]], "expected an array of numbers"),
    ],
)
def test_ids_are_whole_numbers(tmp_path: Path, ids: Any, words: str) -> None:
    odd = opened(Odd(Answer(LOGITS), ids))
    with pytest.raises(SubjectError, match=f"subject 'odd', token ids: {words}"):
        odd.token_ids("a")
    with pytest.raises(SubjectError, match=f"subject 'odd', its own rows: {words}"):
        odd.own_rows()
    (tmp_path / "port.py").write_text(PROGRAM.format(answer={"ids": ids}))
    name = find_subject(f"stdio:{sys.executable} {tmp_path / 'port.py'}")
    more: dict[str, Any] = {"dtype": "float32", "options": {}, "limit": 60.0}
    with (
        OpenSubject(name, tmp_path, Config(), **more) as subject,  # type: ignore[arg-type]  # a stand-in
        pytest.raises(SubjectError, match=f"token ids: {words}"),
    ):
        subject.token_ids("a")


@pytest.mark.parametrize("ids", [[3, 1], (3.0, 1.0), np.array([3, 1], "uint8"), range(3, 0, -2)])
def test_ids_may_be_of_any_dtype_of_whole_numbers(ids: Any) -> None:
    odd = opened(Odd(Answer(LOGITS), ids))
    assert odd.token_ids("a") == [3, 1]
    assert odd.own_rows() == [[3, 1]]
    assert opened(Odd(Answer(LOGITS), [])).token_ids("") == []
