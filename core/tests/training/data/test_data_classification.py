"""Texts with labels become rows with classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmkernel.errors import InputError
from lmkernel.families.bert import Bert
from lmkernel.training.data import ClassifiedExample, ClassifiedRows
from lmkernel.training.data.classification import classified_examples, label_names
from lmkernel.training.data.rows import Row
from lmkernel.training.data.vocabulary import train_tokenizer

TOKENIZER = train_tokenizer(["q"], 261, Bert().special_tokens())
CLS, SEP = 2, 3
SIZES: dict[str, Any] = {"classes": 2, "context": 12, "batch": 2, "vocab": 261, "multiple": 4}


def rows(*values: dict[str, Any]) -> list[Row]:
    return [Row(value, f"f: line {number}") for number, value in enumerate(values, 1)]


def ids(text: str) -> list[int]:
    return TOKENIZER.encode(text, special_tokens=False)


def examples(*values: dict[str, Any], **options: Any) -> list[ClassifiedExample]:
    options = {"names": ["bad", "good"], "context": 12, **options}
    return list(classified_examples(rows(*values), TOKENIZER, **options))


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["good", "bad", "good"], ("bad", "good")),
        ([10, 9, 0, 9], ("0", "9", "10")),
        (["10", "9", "-1"], ("-1", "9", "10")),
        (["10", "9", "x"], ("10", "9", "x")),
    ],
)
def test_names_of_labels_are_sorted(labels: list[Any], names: tuple[str, ...]) -> None:
    assert label_names(rows(*({"label": label} for label in labels))) == names


@pytest.mark.parametrize("label", [True, 1.5, [1]])
def test_label_of_another_kind_is_named(label: Any) -> None:
    with pytest.raises(InputError, match=r"^f: line 1: expected a text or a whole number"):
        label_names(rows({"label": label}))


@pytest.mark.parametrize("label", ["", " "])
def test_an_empty_cell_is_no_class(label: str) -> None:
    with pytest.raises(InputError, match=r"^f: line 2: expected a label in the column 'label'"):
        label_names(rows({"label": "1"}, {"label": label}))


@pytest.mark.parametrize("label", ["1" * 5000, "-" + "1" * 5000])
def test_a_label_of_thousands_of_digits_is_named(label: str) -> None:
    with pytest.raises(InputError, match=r"^f: line 2: expected the name or the number of a class"):
        label_names(rows({"label": 1}, {"label": label}))


def test_rows_of_one_label_alone_are_refused() -> None:
    said = r"^f: line 1: expected rows of two labels or more in the column 'label', got 'x' alone$"
    with pytest.raises(InputError, match=said):
        label_names(rows({"label": "x"}, {"label": "x"}))


def test_text_and_pair() -> None:
    one, two = (
        examples({"text": "ab", "label": "good"})[0],
        examples({"text": "ab", "other": "c", "label": "bad"}, second="other")[0],
    )
    assert (one.ids, one.segments, one.label) == ([CLS, *ids("ab"), SEP], [0] * 4, 1)
    assert two.ids == [CLS, *ids("ab"), SEP, *ids("c"), SEP]
    assert (two.segments, two.label) == ([0, 0, 0, 0, 1, 1], 0)
    assert one.ids == TOKENIZER.encode("ab")


def test_batch() -> None:
    made = examples({"text": "ab", "label": "good"}, {"text": "abc", "label": "bad"})
    batch = ClassifiedRows(made, shuffle=False, **SIZES).at(0)
    assert batch["inputs"].tolist() == [
        [CLS, *ids("ab"), SEP, 0, 0, 0, 0],
        [CLS, *ids("abc"), SEP, 0, 0, 0],
    ]
    assert batch["positions"].tolist() == [
        [0, 1, 2, 3, -1, -1, -1, -1],
        [0, 1, 2, 3, 4, -1, -1, -1],
    ]
    assert batch["targets"].tolist() == [1, 0]
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int32)}


def test_filling_rows_have_no_target() -> None:
    made = examples({"text": "ab", "label": "good"})
    assert ClassifiedRows(made, **SIZES).at(0)["targets"].tolist() == [1, -1]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("aaaaaaaaaaaa", "bb", (7, 2)),
        ("aa", "bbbbbbbbbbb", (2, 7)),
        ("aaaaaaaaa", "bbbbbbbbb", (5, 4)),
        ("aaaa", "bbbbb", (4, 5)),
    ],
)
def test_the_longer_text_is_cut_first(first: str, second: str, kept: tuple[int, int]) -> None:
    values = {"text": first, "second": second, "label": "bad"}
    (made,) = examples(values, second="second", truncate=True)
    assert (made.segments.count(0), made.segments.count(1)) == (kept[0] + 2, kept[1] + 1)
    assert len(made.ids) == 12


def test_one_text_is_cut() -> None:
    (made,) = examples({"text": "a" * 50, "label": "bad"}, truncate=True)
    assert made.ids == [CLS, *ids("a" * 10), SEP]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text": "a", "label": "ugly"}, "expected one of the labels bad, good .* got 'ugly'"),
        ({"text": "a" * 11, "label": "bad"}, "expected at most 12 tokens, .* got 13; truncate"),
        ({"text": "a"}, "expected a column 'label', got the columns text"),
        ({"label": "bad"}, "expected a column 'text', got the columns label"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^f: line 2: {message}"):
        examples({"text": "a", "label": "bad"}, values)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (ClassifiedExample([1, 2], [0, 0], 2, "here"), "expected a class in 0 … 1, got 2"),
        (ClassifiedExample([1, 2], [0, 0], -1, "here"), "expected a class in 0 … 1, got -1"),
        (ClassifiedExample([1, 261], [0, 0], 0, "here"), "expected tokens in 0 … 260, got 261"),
        (ClassifiedExample([1] * 13, [0] * 13, 0, "here"), "expected 1 to 12 tokens"),
        (ClassifiedExample([1, 2], [0], 0, "here"), "expected a segment for each of 2 tokens"),
    ],
)
def test_example_outside_is_named(example: ClassifiedExample, message: str) -> None:
    with pytest.raises(InputError, match=f"^here: {message}"):
        ClassifiedRows([example], **SIZES)


def test_digest_follows_from_labels_and_segments() -> None:
    made = [
        ClassifiedRows([ClassifiedExample([1, 2], segments, label, "")], **SIZES)
        for segments, label in (([0, 0], 0), ([0, 1], 0), ([0, 0], 1))
    ]
    assert len({batches.digest for batches in made}) == 3
