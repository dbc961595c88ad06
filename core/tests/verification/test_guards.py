"""Each guard against a wrong comparison: what it finds, and what is done then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel.comparison.metrics import log_softmax
from lmkernel.errors import SubjectError
from lmkernel.verification.answers import RowAnswer, take_apart
from lmkernel.verification.cells import Cell
from lmkernel.verification.guards import check_token_ids, check_values
from lmkernel.verification.layouts import check_layouts
from lmkernel.verification.prompts import Prompts
from lmkernel.verification.sequences import Question, Row
from lmkernel.verification.subject import Answer

if TYPE_CHECKING:
    import ports

    from lmkernel.verification.guards import Guard

ROW, SHORT = Row("row", (1, 2, 3, 4)), Row("short", (5, 6))
VOCAB = 7
LOGITS = np.random.default_rng(0).normal(size=(4, VOCAB)).astype(np.float32)


def checked(values: Any, kind: Any = "logits", dtype: str = "float32") -> Any:
    return check_values({"row": [RowAnswer(values, kind, {})]}, VOCAB, dtype)


def named(guards: list[Guard], name: str) -> Guard:
    return next(g for g in guards if g.name == name)


def test_columns_beyond_the_vocabulary_are_left_out_and_said() -> None:
    wide = np.concatenate([LOGITS, np.full((4, 3), -1e9, np.float32)], 1)
    answers, kind, guards = checked(wide)
    assert kind == "logits"
    assert np.array_equal(answers["row"][0].values, LOGITS)
    assert named(guards, "vocabulary").text == ("3 columns beyond the vocabulary of 7 are left out")


def test_log_probabilities_given_for_logits_are_compared_as_these() -> None:
    _, kind, guards = checked(log_softmax(LOGITS))
    assert kind == "log_probs"
    assert named(guards, "logits or log-probabilities").state == "note"


def test_logits_given_for_log_probabilities_are_compared_as_these() -> None:
    _, kind, guards = checked(LOGITS, "log_probs")
    assert kind == "logits"
    assert named(guards, "logits or log-probabilities").state == "note"


def test_a_softmax_in_another_dtype_is_seen() -> None:
    rounded = log_softmax(LOGITS).astype(np.float16)
    _, kind, guards = checked(rounded, "log_probs")
    assert kind == "log_probs"
    guard = named(guards, "logits or log-probabilities")
    assert guard.state == "problem"
    assert "a softmax in 16 bits" in guard.text


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_digits_of_16_bits_in_float32_are_seen(kind: str) -> None:
    bits = LOGITS.view(np.uint32) & np.uint32(0xFFFF0000)
    rounded = bits.view(np.float32) if kind == "bfloat16" else LOGITS.astype(np.float16)
    assert f"is a {kind} number" in named(checked(rounded)[2], "digits").text
    assert named(checked(rounded, dtype=kind)[2], "digits").state == "ok"


def test_a_constant_in_each_row_is_taken_out_and_said(quick: Any, wrong: ports.Wrong) -> None:
    wrong.logits = lambda x: x - x.mean(-1, keepdims=True)
    found = quick("qwen2")
    assert found.passed
    assert found.document["compared"] == "log_probs"
    guards = {g["name"]: g["state"] for g in found.document["guards"]}
    assert guards["a constant in each row"] == "note"


def test_other_ids_of_a_text_are_a_problem() -> None:
    class Tokenizer:
        def encode(self, text: str) -> list[int]:
            return [ord(c) for c in text]

    class Subject:
        def token_ids(self, text: str) -> list[int]:
            return [1, *map(ord, text)]

    guard = check_token_ids(Subject(), Tokenizer(), ["ab"])  # type: ignore[arg-type]  # stand-ins
    assert guard.state == "problem"
    assert "from token 1 on: [97, 98] here, [1, 97, 98] there" in guard.text


def cells(**shares: float) -> list[Cell]:
    return [
        Cell("logits", question.replace("_", " "), "row", 0.0, 0.0, share)
        for question, share in shares.items()
    ]


def prompts(*questions: Question) -> Prompts:
    return Prompts((ROW, SHORT), (Question("row", (ROW,)), *questions), (), ())


def test_a_mask_that_is_not_passed_is_seen() -> None:
    asked = prompts(Question("left", (ROW,) * 2, "left"))
    guards = check_layouts(asked, {"row": [], "left": []}, cells(row=0.5, left=9))
    assert guards[0].state == "problem"
    assert "is the mask passed on" in guards[0].text
    assert [g.state for g in guards[1:]] == ["not asked", "not asked"]


def test_positions_that_are_not_passed_are_seen() -> None:
    asked = prompts(Question("end", (Row("row", (1,), 40),)))
    guards = check_layouts(asked, {"row": [], "end": []}, cells(row=0.5, end=9))
    assert guards[1].state == "problem"
    assert "positions 40" in guards[1].text


def test_a_cache_that_is_wrong_is_seen() -> None:
    asked = prompts(Question("one by one", (ROW,), prefill=2))
    guards = check_layouts(asked, {"row": [], "one by one": []}, cells(row=0.5, one_by_one=9))
    assert guards[2].state == "problem"
    assert "fed one by one" in guards[2].text


class Config:
    class head:  # noqa: N801 - stands for a field
        pooling = "none"
        size = VOCAB


@pytest.mark.parametrize(
    ("shape", "kind", "words"),
    [
        ((1, 4, VOCAB), "logits", r"expected logits of shape \(2, 4, 7\), got \(1, 4, 7\)"),
        ((2, 3, VOCAB), "logits", r"got \(2, 3, 7\)"),
        ((2, 4, VOCAB - 1), "logits", r"got \(2, 4, 6\)"),
        ((8, VOCAB), "logits", r"got \(8, 7\)"),
        ((2, 4, 1), "token_log_probs", r"shape \(2, 4\), got \(2, 4, 1\)"),
        ((2, 4, VOCAB), "guesses", "expected one of logits"),
    ],
)
def test_fewer_rows_and_other_shapes_are_refused(
    shape: tuple[int, ...], kind: Any, words: str
) -> None:
    question = Question("both", (ROW, SHORT))
    with pytest.raises(SubjectError, match=words):
        take_apart(question, Answer(np.zeros(shape), kind), Config())  # type: ignore[arg-type]  # a stand-in


def test_nan_is_refused_with_its_place_and_not_at_padding() -> None:
    question, values = Question("both", (ROW, SHORT)), np.zeros((2, 4, VOCAB))
    values[1, 2:] = np.nan
    assert len(take_apart(question, Answer(values), Config())) == 2  # type: ignore[arg-type]  # a stand-in
    values[1, 1, 3] = np.nan
    with pytest.raises(SubjectError, match="got nan at token 2 of row 'short'"):
        take_apart(question, Answer(values), Config())  # type: ignore[arg-type]  # a stand-in
