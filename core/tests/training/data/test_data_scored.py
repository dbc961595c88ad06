"""Pairs of texts with a score become rows with one target each, and are measured by their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmkernel.errors import InputError
from lmkernel.families.bert import Bert
from lmkernel.training.data.rows import Row
from lmkernel.training.data.scored import ScoredExample, ScoredRows, scored_examples
from lmkernel.training.data.vocabulary import train_tokenizer

TOKENIZER = train_tokenizer(["q"], 261, Bert().special_tokens())
SIZES: dict[str, Any] = {"context": 12, "vocab": 261, "multiple": 4, "shuffle": False}


def examples(*values: dict[str, Any], **options: Any) -> list[ScoredExample]:
    rows = [Row(value, f"f: line {number}") for number, value in enumerate(values, 1)]
    return list(scored_examples(rows, TOKENIZER, **{"context": 12, "columns": {}, **options}))


@pytest.mark.parametrize(
    "names",
    [
        ("text", "second", "score"),
        ("query", "document", "label"),
        ("sentence1", "sentence2", "score"),
    ],
)
def test_columns_are_found_by_their_names(names: tuple[str, str, str]) -> None:
    [one] = examples(dict(zip(names, ("ab", "c", 1), strict=True)))
    assert (one.first, one.score, list(one.segments)) == ("ab", 1.0, [0, 0, 0, 0, 1, 1])


@pytest.mark.parametrize(("text", "score"), [("1", 1.0), ("0.5", 0.5), (" 0 ", 0.0), ("5e-1", 0.5)])
def test_a_table_of_texts_has_scores_too(text: str, score: float) -> None:
    """All values of a CSV file are text."""
    [one] = examples({"text": "ab", "second": "c", "score": text})
    assert one.score == score


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": 2}, "expected a score in 0 … 1 in the column 'score', got 2; divide"),
        ({"score": -0.1}, "got -0.1"),
        ({"score": True}, "got True"),
        ({"score": "one"}, "got 'one'"),
        ({"score": "true"}, "got True"),
        ({"score": "NaN"}, "got nan"),
        ({"score": "2"}, "got 2"),
        ({"score": float("nan")}, "got nan"),
        ({"second": 3}, "expected text in the column 'second'"),
        ({"text": "long" * 9}, "expected at most 12 tokens"),
    ],
)
def test_what_cannot_be_read_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"f: line 1: .*{message}"):
        examples({"text": "ab", "second": "c", "score": 0.5, **changes})


def test_rows_that_fill_a_batch_have_no_score() -> None:
    pair = {"text": "ab", "second": "c"}
    made = examples(*({**pair, "score": n / 4} for n in range(3)))
    rows = ScoredRows(made, batch=2, **SIZES)
    np.testing.assert_array_equal(rows.at(0)["targets"], [[0], [0.25]])
    np.testing.assert_array_equal(rows.at(1)["targets"], [[0.5], [-1]])


def measured(scores: list[float], outputs: list[float]) -> dict[str, float]:
    made = examples(*({"text": "q", "second": f"{n}", "score": s} for n, s in enumerate(scores)))
    rows = ScoredRows(made, batch=2, **SIZES)
    parts = np.array([*outputs, 0.0][: 2 * len(rows)]).reshape(len(rows), 2, 1)
    return rows.scores((rows.at(i), part) for i, part in enumerate(parts))


def test_order_is_measured_by_spearman_and_ndcg() -> None:
    assert measured([0, 0.5, 1, 0.2], [-3, 1, 2, 0]) == pytest.approx({"spearman": 1, "ndcg": 1})
    expected = {"spearman": -1, "ndcg": 1 / np.log2(3)}
    assert measured([1, 0], [0, 1]) == pytest.approx(expected)


def test_what_is_undefined_is_left_out() -> None:
    assert "spearman" not in measured([1, 1], [0, 1])
    assert measured([0, 0], [0, 1]) == {}
