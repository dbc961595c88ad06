"""Questions with documents become windows, whose targets are where an answer starts and ends."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lmkernel.errors import InputError
from lmkernel.families.bert import Bert
from lmkernel.training.data.answers import (
    SpanExample,
    SpanRows,
    exact_match,
    span_examples,
    span_f1,
)
from lmkernel.training.data.rows import Row
from lmkernel.training.data.vocabulary import train_tokenizer

TOKENIZER = train_tokenizer(["q"], 261, Bert().special_tokens())
DOCUMENT = "ab cde fgh"
ANSWERS = {"text": ["cde", "cde fgh"], "answer_start": [3, 3]}
NOTHING: dict[str, list[Any]] = {"text": [], "answer_start": []}


def examples(room: int = 32, **changes: Any) -> list[SpanExample]:
    values = {"question": "q?", "context": DOCUMENT, "answers": ANSWERS, **changes}
    row = Row({k: v for k, v in values.items() if v is not None}, "f: line 1")
    [made] = span_examples([row], TOKENIZER, context=room, columns={})
    return made


def said(one: SpanExample) -> str:
    places = one.window.places
    return DOCUMENT[places[one.start][1] : places[one.end][2]] if one.start != one.cls else ""


@pytest.mark.parametrize("answers", [ANSWERS, "cde", json.dumps(ANSWERS)])
def test_the_first_answer_is_learned(answers: Any) -> None:
    [one] = examples(answers=answers)
    assert said(one) == "cde"
    assert one.answers == (("cde",) if answers == "cde" else ("cde", "cde fgh"))


@pytest.mark.parametrize(
    "answers",
    [
        {"text": [" cde"], "answer_start": [2]},
        {"text": ["cde "], "answer_start": [3]},
        {"text": [" cde "], "answer_start": [2]},
        "  cde ",
    ],
)
def test_spaces_around_an_answer_are_no_part_of_it(answers: Any) -> None:
    [one] = examples(answers=answers)
    assert (said(one), one.answers) == ("cde", ("cde",))


def test_an_answer_that_no_window_holds_is_refused() -> None:
    named = r"^f: line 1: expected an answer that a window of 11 tokens or fewer holds .* 'ab cde f"
    with pytest.raises(InputError, match=named):
        examples(11, answers={"text": ["ab cde fgh"], "answer_start": [0]})


def test_a_window_without_the_whole_answer_has_none() -> None:
    made = examples(11, answers={"text": ["fgh"], "answer_start": [7]})
    assert [said(one) for one in made] == [*[""] * (len(made) - 1), "fgh"]
    assert len(made) > 1
    assert [said(one) for one in examples(answers=NOTHING)] == [""]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": None}, "expected a column 'question'"),
        ({"context": 3}, "expected text in the column 'context'"),
        ({"answers": None}, "expected a column 'answers'"),
        ({"answers": 3}, "expected a text, or an object with the lists text and answer_start"),
        ({"answers": {"text": ["a"]}}, "expected a text, or an object with the lists"),
        ({"answers": "zz"}, "an answer that stands in the document, got 'zz' at -1"),
        ({"answers": {"text": ["cde"], "answer_start": [4]}}, "got 'cde' at 4"),
        ({"answers": {"text": [""], "answer_start": [0]}}, "got '' at 0"),
        ({"answers": {"text": [" "], "answer_start": [2]}}, "got ' ' at 2"),
        ({"question": "long" * 9}, "expected a first text that leaves room in 32"),
    ],
)
def test_what_cannot_be_read_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        examples(**changes)


def test_targets_say_where_an_answer_may_be() -> None:
    rows = SpanRows(examples(), context=32, batch=2, vocab=261, multiple=4, shuffle=False)
    batch = rows.at(0)
    real, filling = batch["targets"]
    assert (filling == -1).all()
    inside = np.flatnonzero(batch["segments"][0] == 1)[:-1]  # the last is the special token
    assert set(np.flatnonzero((real >= 0).all(1))) == {0, *inside}
    assert real.max(0).tolist() == [1, 1]
    assert np.maximum(real, 0).sum(0).tolist() == [1, 1]


def test_scores_are_those_of_the_best_window() -> None:
    made = examples(11, answers={"text": ["fgh"], "answer_start": [7]})
    rows = SpanRows(made, context=11, batch=1, vocab=261, multiple=4, shuffle=False)
    outputs = []
    for i, one in enumerate(made):
        batch = rows.at(i)
        logits = np.zeros(batch["targets"].shape)
        logits[0, one.start, 0] = logits[0, one.end, 1] = 9
        outputs.append((batch, logits))
    assert rows.scores(outputs) == {"exact_match": 1.0, "span_f1": 1.0}
    flat = [(batch, np.zeros_like(logits)) for batch, logits in outputs]
    assert rows.scores(flat)["exact_match"] == 0


@pytest.mark.parametrize(
    ("got", "right", "exact", "f1"),
    [
        ("The cat.", ["cat"], 1, 1),
        ("a black cat", ["cat"], 0, 2 / 3),
        ("dog", ["cat", "dog"], 1, 1),
        ("", [], 1, 1),
        ("cat", [], 0, 0),
        ("", ["cat"], 0, 0),
    ],
)
def test_answers_are_compared_as_by_squads_script(
    got: str, right: list[str], exact: float, f1: float
) -> None:
    assert (exact_match(got, right), span_f1(got, right)) == (exact, pytest.approx(f1))
