"""Words with tags, and texts with spans, become rows of tokens with targets."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lmkernel.errors import InputError
from lmkernel.families.bert import Bert
from lmkernel.training.data import tagging
from lmkernel.training.data.rows import Row
from lmkernel.training.data.tagged_words import read_words
from lmkernel.training.data.tagging import (
    TaggedExample,
    TaggedRows,
    tag_names,
    tagged_examples,
)
from lmkernel.training.data.vocabulary import train_tokenizer

TOKENIZER = train_tokenizer(["q"], 261, Bert().special_tokens())
NAMES = ("B-X", "I-X", "O")
SIZES: dict[str, Any] = {"names": NAMES, "context": 12, "batch": 2, "vocab": 261, "multiple": 4}


def row(**values: Any) -> Row:
    return Row(values, "f: line 1")


def examples(one: Row, context: int = 32, **columns: str) -> list[TaggedExample]:
    [made] = tagged_examples([one], TOKENIZER, NAMES, context=context, columns=columns)
    return made


@pytest.mark.parametrize(
    "names", [("tokens", "tags"), ("words", "labels"), ("tokens", "ner_tags"), ("a", "b")]
)
def test_the_first_token_of_a_word_has_its_tag(names: tuple[str, str]) -> None:
    values = dict(zip(names, (["ab", "c", "def"], ["B-X", "I-X", "O"]), strict=True))
    columns = {} if names[0] != "a" else {"tokens": "a", "tags": "b"}
    [one] = examples(row(**values), **columns)
    # every character is a token, and so are the spaces between words
    assert list(one.tags) == [-1, 0, -1, -1, 1, -1, 2, -1, -1, -1]
    assert TOKENIZER.decode(one.ids) == "ab c def"


def test_a_table_of_texts_has_lists_as_json() -> None:
    """All values of a CSV file are text."""
    lists = {"tokens": ["ab", "c"], "tags": ["B-X", "O"]}
    written = row(**{name: json.dumps(value) for name, value in lists.items()})
    assert examples(written) == examples(row(**lists))
    spans = [{"start": 0, "end": 2, "label": "X"}]
    written = row(text="ab c", entities=json.dumps(spans))
    assert examples(written) == examples(row(text="ab c", entities=spans))


def test_spans_of_a_text_begin_and_go_on() -> None:
    text = "Ada Lovelace, London"
    spans = [{"start": 0, "end": 12, "label": "X"}, {"start": 14, "end": 20, "type": "Y"}]
    _, words = read_words(row(text=text, entities=spans), {})
    assert [(text[a:b], tag) for a, b, tag in words] == [
        *(("Ada", "B-X"), ("Lovelace", "I-X"), (",", "O"), ("London", "B-Y")),
    ]


def test_neighbouring_spans_are_two() -> None:
    spans = [{"start": 0, "end": 1, "label": "X"}, {"start": 2, "end": 3, "label": "X"}]
    assert [t for *_, t in read_words(row(text="a b", spans=spans), {})[1]] == ["B-X", "B-X"]


def spans(*places: tuple[int, int, str]) -> list[dict[str, Any]]:
    return [{"start": start, "end": end, "label": label} for start, end, label in places]


@pytest.mark.parametrize(
    "found",
    [
        spans((0, 3, "X"), (2, 5, "Y")),
        spans((2, 5, "Y"), (0, 3, "X")),
        spans((0, 5, "X"), (2, 3, "Y")),
        spans((0, 1, "X"), (0, 1, "X")),
        spans((4, 5, "X"), (5, 6, "Y")),
    ],
    ids=["over the end", "out of order", "inside", "twice", "in one word"],
)
def test_spans_that_share_a_word_are_both_named(found: list[dict[str, Any]]) -> None:
    first, second = (f"'{s['label']}' at {s['start']} … {s['end']}" for s in sort_spans(found))
    wanted = f"^f: line 1: expected spans that share no word, got {first} and {second}, which both"
    with pytest.raises(InputError, match=wanted):
        read_words(row(text="a b cd", entities=found), {})


def sort_spans(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda span: (span["start"], span["end"]))


def test_a_long_text_becomes_windows_that_hold_each_word_once() -> None:
    words = ["abc"] * 9
    made = examples(row(tokens=words, tags=["O"] * 9), context=12)
    assert len(made) == 4
    assert sum(tag >= 0 for one in made for tag in one.tags) == 9


def test_names_are_sorted_by_value_or_as_texts() -> None:
    assert tag_names([row(tokens=["a", "b"], tags=["O", "B-X"])], {}) == ("B-X", "O")
    assert tag_names([row(tokens=["a", "b"], tags=[10, 9])], {}) == ("9", "10")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text": "a"}, "expected the columns tokens and tags, or text and entities, got text"),
        ({"tokens": [], "tags": []}, "expected a list of words in 'tokens', got"),
        ({"tokens": ["a", ""], "tags": ["O", "O"]}, "expected a list of words in 'tokens', got"),
        ({"tokens": "ab", "tags": ["O"]}, "expected a list of words in 'tokens', got 'ab'"),
        ({"tokens": ["a"], "tags": ["O", "O"]}, "expected a tag for each of 1 words in 'tags'"),
        ({"tokens": ["a"], "tags": [1.5]}, "expected a tag for each of 1 words in 'tags'"),
        ({"tokens": ["a"], "tags": ["B-Z"]}, "expected one of the tags B-X, I-X, O, got 'B-Z'"),
        ({"text": "a", "entities": "x"}, "expected a list of spans in 'entities', got 'x'"),
        ({"text": "a", "entities": [{"start": 0, "end": 2, "label": "X"}]}, "within 1 characters"),
        ({"text": "a", "entities": [{"start": 0, "end": 1}]}, "with start, end and label"),
        ({"text": "a", "entities": [3]}, "with start, end and label"),
        ({"tokens": ["a"], "tags": [""]}, "expected a tag for each of 1 words in 'tags'"),
        ({"tokens": ["a"], "tags": ["1" * 5000]}, "of at most 308 digits, got 5000 digits"),
        ({"text": "a b", "entities": [{"start": 1, "end": 2, "label": "X"}]}, "got spaces in"),
        ({"text": "a", "entities": [{"start": 0, "end": 1, "label": "B-X"}]}, "without B- and I-"),
        ({"text": "a", "entities": [{"start": 0, "end": 1, "label": "I-X"}]}, "got 'I-X'"),
        ({"text": "a", "entities": [{"start": 0, "end": 1, "label": ""}]}, "got ''"),
        ({"text": "a", "entities": [{"start": 0, "end": 1, "label": " "}]}, "got ' '"),
    ],
)
def test_what_cannot_be_read_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"f: line 1: .*{message}"):
        examples(row(**values))


def test_rows_are_padded_and_those_that_fill_a_batch_teach_nothing() -> None:
    made = [TaggedExample([2, 7, 3], [-1, 1, -1], "a"), TaggedExample([2, 3], [-1, -1], "b")]
    rows = TaggedRows([*made, made[0]], shuffle=False, **SIZES)
    first, last = rows.at(0), rows.at(1)
    np.testing.assert_array_equal(first["targets"], [[-1, 1, -1, -1], [-1] * 4])
    np.testing.assert_array_equal(first["positions"], [[0, 1, 2, -1], [0, 1, -1, -1]])
    assert (last["targets"][1] == -1).all()


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagging, "find_spec", lambda _: None)
    assert "seqeval is missing; pip install 'lmkernel[metrics]'" in tagging.missing_measures(NAMES)
    assert tagging.missing_measures(("NOUN", "VERB")) == ""
    made = [TaggedExample([5], [0], "a")]
    assert TaggedRows(made, shuffle=False, **SIZES).scores([]) == {}


def test_entities_are_measured_as_wholes() -> None:
    made = [TaggedExample([5, 6, 7, 8], [0, 1, 2, 0], "a")]
    rows = TaggedRows(made, shuffle=False, **{**SIZES, "batch": 1})
    batch = rows.at(0)
    said = np.eye(3)[[0, 2, 2, 0]][None]  # the first entity ends too early
    found = rows.scores([(batch, said)])
    assert found == {"entity_f1": 0.5, "entity_precision": 0.5, "entity_recall": 0.5}
