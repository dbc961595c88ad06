"""Packed documents: every token is predicted once an epoch."""

from __future__ import annotations

import numpy as np
import pytest

from lmkernel.errors import InputError
from lmkernel.training.data import PackedCausal, Tokens

TOKENS = Tokens.of(np.arange(10, 21))
SIZES = {"context": 4, "batch": 2, "vocab": 30}


def test_worked_example() -> None:
    batches = PackedCausal(TOKENS, shuffle=False, **SIZES)
    assert len(batches) == 2
    first, second = batches.at(0), batches.at(1)
    assert first["inputs"].tolist() == [[10, 11, 12, 13], [14, 15, 16, 17]]
    assert first["targets"].tolist() == [[11, 12, 13, 14], [15, 16, 17, 18]]
    assert second["inputs"].tolist() == [[18, 19, 0, 0], [18, 19, 0, 0]]
    assert second["targets"].tolist() == [[19, 20, -1, -1], [-1, -1, -1, -1]]
    assert {array.dtype for array in first.values()} == {np.dtype(np.int32)}


def test_what_documents_begin_with_is_seen_and_not_predicted() -> None:
    tokens = Tokens.of([1, 10, 11, 2, 1, 12, 2, 1, 13, 2])
    batches = PackedCausal(tokens, opening=[1], shuffle=False, **SIZES)
    first, second = batches.at(0), batches.at(1)
    assert first["inputs"].tolist() == [[1, 10, 11, 2], [1, 12, 2, 1]]
    assert first["targets"].tolist() == [[10, 11, 2, -1], [12, 2, -1, 13]]
    assert second["inputs"].tolist()[0] == [13, 0, 0, 0]
    assert second["targets"].tolist()[0] == [2, -1, -1, -1]
    assert batches.digest != PackedCausal(tokens, shuffle=False, **SIZES).digest


@pytest.mark.parametrize("length", [2, 3, 40, 41, 42, 1000])
@pytest.mark.parametrize("batch", [1, 4])
def test_every_token_is_predicted_once_an_epoch(length: int, batch: int) -> None:
    batches = PackedCausal(
        Tokens.of(np.arange(length)), context=8, batch=batch, vocab=length, seed=3
    )
    for epoch in range(2):
        found = [batches.at(epoch * len(batches) + i) for i in range(len(batches))]
        pairs = [
            (int(seen), int(said))
            for batch_found in found
            for seen, said in zip(
                batch_found["inputs"].ravel(), batch_found["targets"].ravel(), strict=True
            )
            if said >= 0
        ]
        assert sorted(pairs) == [(n, n + 1) for n in range(length - 1)]


def test_windows_come_in_another_order_each_epoch() -> None:
    batches = PackedCausal(Tokens.of(np.arange(200)), context=4, batch=5, vocab=200)
    assert (batches.at(0)["inputs"] != batches.at(len(batches))["inputs"]).any()


def test_digest_follows_from_everything() -> None:
    made = [
        PackedCausal(TOKENS, **SIZES),
        PackedCausal(Tokens.of(np.arange(11, 22)), **SIZES),
        PackedCausal(TOKENS, **{**SIZES, "context": 5}),
        PackedCausal(TOKENS, **{**SIZES, "batch": 3}),
        PackedCausal(TOKENS, **SIZES, seed=1),
        PackedCausal(TOKENS, **SIZES, shuffle=False),
    ]
    assert len({batches.digest for batches in made}) == len(made)
    assert made[0].digest == PackedCausal(Tokens.of(np.arange(10, 21)), **SIZES).digest


def test_token_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected tokens in 0 … 19, got 20"):
        PackedCausal(TOKENS, **{**SIZES, "vocab": 20})


def test_one_token_is_refused() -> None:
    with pytest.raises(InputError, match="expected at least two tokens"):
        PackedCausal(Tokens.of([1]), **SIZES)
