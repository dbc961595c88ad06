"""Examples as padded rows, in which only some tokens are learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmkernel.errors import InputError
from lmkernel.training.data import CausalExample, CausalRows

LONG = CausalExample([5, 6, 7, 8, 9], [False, False, True, True, False], "f: line 1")
SHORT = CausalExample([3, 4], [True, True], "f: line 2")
SIZES: dict[str, Any] = {"context": 16, "batch": 2, "vocab": 10, "multiple": 3}


def test_worked_example() -> None:
    batch = CausalRows([LONG, SHORT], shuffle=False, **SIZES).at(0)
    assert batch["inputs"].tolist() == [[5, 6, 7, 8, 0, 0], [3, 0, 0, 0, 0, 0]]
    assert batch["targets"].tolist() == [[-1, 7, 8, -1, -1, -1], [4, -1, -1, -1, -1, -1]]
    assert batch["positions"].tolist() == [[0, 1, 2, 3, -1, -1], [0, -1, -1, -1, -1, -1]]
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int32)}


def test_filling_rows_have_no_targets() -> None:
    batch = CausalRows([SHORT], **SIZES).at(0)
    assert batch["targets"].tolist() == [[4, -1, -1], [-1, -1, -1]]
    assert batch["inputs"][1].tolist() == batch["inputs"][0].tolist()


@pytest.mark.parametrize(("multiple", "context", "time"), [(1, 16, 4), (64, 16, 16), (3, 5, 5)])
def test_length_is_rounded_up_within_the_context(multiple: int, context: int, time: int) -> None:
    sizes = {**SIZES, "multiple": multiple, "context": context}
    assert CausalRows([LONG], **sizes).at(0)["inputs"].shape == (2, time)


def test_every_example_comes_once_an_epoch() -> None:
    examples = [CausalExample([n, n + 1], [True, True], f"{n}") for n in range(13)]
    batches = CausalRows(examples, **{**SIZES, "vocab": 20, "batch": 4})
    for epoch in range(2):
        found = [batches.at(epoch * len(batches) + n)["targets"] for n in range(len(batches))]
        said = np.concatenate([array[array >= 0] for array in found])
        assert sorted(said.tolist()) == list(range(1, 14))


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (
            CausalExample(range(9), [True] * 9, "f: line 3"),
            "expected 1 to 7 tokens, .* got 8; truncate",
        ),
        (CausalExample([1, 10], [True] * 2, "f: line 3"), "expected tokens in 0 … 9, got 10"),
        (CausalExample([1, -2], [True] * 2, "f: line 3"), "expected tokens in 0 … 9, got -2"),
        (CausalExample([1, 2], [True, False], "f: line 3"), "expected tokens to be learned"),
        (CausalExample([1, 2], [True], "f: line 3"), "expected a mark for each of 2 tokens, got 1"),
        (CausalExample([1], [True], "f: line 3"), "expected tokens to be learned"),
    ],
)
def test_what_is_wrong_is_named(example: CausalExample, message: str) -> None:
    with pytest.raises(InputError, match=f"^f: line 3: {message}"):
        CausalRows([LONG, SHORT, example], **{**SIZES, "context": 7})


def test_digest_follows_from_everything() -> None:
    unlearned = CausalExample(LONG.ids, [False, True, False, False, False], "")
    made = [
        CausalRows([LONG], **SIZES),
        CausalRows([SHORT], **SIZES),
        CausalRows([unlearned], **SIZES),
        CausalRows([LONG], **{**SIZES, "context": 9}),
        CausalRows([LONG], seed=1, **SIZES),
    ]
    assert len({batches.digest for batches in made}) == len(made)


def test_digest_is_the_same_however_rows_are_padded() -> None:
    """So that a run goes on where another backend began it."""
    one, other = (CausalRows([LONG], **{**SIZES, "multiple": n}) for n in (3, 4))
    assert one.digest == other.digest
