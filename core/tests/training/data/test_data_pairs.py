"""Sources and targets become rows of both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from letters import letters

from lmkernel.errors import InputError
from lmkernel.training.data import PairExample, SequencePairs
from lmkernel.training.data.pairs import pair_examples
from lmkernel.training.data.rows import Row

ONE = PairExample([5, 6, 7], [8, 9], "f: line 1")
TWO = PairExample([4], [3, 2, 1, 9], "f: line 2")
SIZES: dict[str, Any] = {"start": 0, "context": 5, "batch": 2, "vocab": 10, "multiple": 2}


def test_worked_example() -> None:
    batch = SequencePairs([ONE, TWO], shuffle=False, **SIZES).at(0)
    assert batch["inputs"].tolist() == [[5, 6, 7, 0], [4, 0, 0, 0]]
    assert batch["positions"].tolist() == [[0, 1, 2, -1], [0, -1, -1, -1]]
    assert batch["target"].tolist() == [[0, 8, 0, 0], [0, 3, 2, 1]]
    assert batch["target_positions"].tolist() == [[0, 1, -1, -1], [0, 1, 2, 3]]
    assert batch["targets"].tolist() == [[8, 9, -1, -1], [3, 2, 1, 9]]
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int32)}


def test_filling_rows_have_no_targets() -> None:
    batch = SequencePairs([ONE], **SIZES).at(0)
    assert batch["targets"].tolist() == [[8, 9], [-1, -1]]


def test_rows_become_examples_with_the_end() -> None:
    tokenizer = letters()
    row = Row({"de": "ja", "en": "yes"}, "f: line 1")
    (made,) = pair_examples([row], tokenizer, context=4, source="de", target="en")
    assert made.source == [*tokenizer.encode("ja"), 2]
    assert made.target == [*tokenizer.encode("yes"), 2]
    (cut,) = pair_examples([row], tokenizer, context=3, truncate=True, source="de", target="en")
    assert cut.target == [*tokenizer.encode("ye"), 2]
    with pytest.raises(InputError, match=r"^f: line 1: expected at most 3 tokens, .* 'en', got 4"):
        list(pair_examples([row], tokenizer, context=3, source="de", target="en"))


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (PairExample([], [1], "here"), "expected 1 to 5 source tokens, .* got 0"),
        (PairExample([1], [], "here"), "expected 1 to 5 target tokens, .* got 0"),
        (PairExample([1], [1] * 6, "here"), "expected 1 to 5 target tokens, .* got 6"),
        (PairExample([10], [1], "here"), "expected source tokens in 0 … 9, got 10"),
        (PairExample([1], [12], "here"), "expected target tokens in 0 … 11, got 12"),
    ],
)
def test_example_outside_is_named(example: PairExample, message: str) -> None:
    with pytest.raises(InputError, match=f"^here: {message}"):
        SequencePairs([ONE, example], target_vocab=12, **SIZES)


def test_start_outside_is_refused() -> None:
    with pytest.raises(InputError, match="expected a start token in 0 … 9, got 10"):
        SequencePairs([ONE], **{**SIZES, "start": 10})


def test_digest_follows_from_everything() -> None:
    made = [
        SequencePairs([ONE], **SIZES),
        SequencePairs([TWO], **SIZES),
        SequencePairs([ONE], **{**SIZES, "start": 1}),
        SequencePairs([PairExample(ONE.source, [8, 7], "")], **SIZES),
    ]
    assert len({batches.digest for batches in made}) == len(made)
