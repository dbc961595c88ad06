"""Masking as BERT does it, the same everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lmkernel.errors import InputError
from lmkernel.random import raw_words
from lmkernel.training.data import MaskedWindows, MaskingConfig, Tokens

MASKING = MaskingConfig(cls=1, sep=2, mask=3, special=frozenset({0, 1, 2, 3}))
VOCAB = 104
SIZES = {"context": 50, "batch": 4, "vocab": VOCAB}
STREAM = (raw_words(0, "masking test", 96_000) % np.uint64(VOCAB - 2)).astype(np.int64) + 2
STREAM[::40] = 2  # documents end


def whole(batches: MaskedWindows, epoch: int = 0) -> dict[str, np.ndarray]:
    found = [batches.at(epoch * len(batches) + number) for number in range(len(batches))]
    return {name: np.concatenate([batch[name] for batch in found]) for name in found[0]}


def test_windows_lie_between_their_marks() -> None:
    batches = MaskedWindows(Tokens.of([*range(10, 20)]), MASKING, context=6, batch=2, vocab=30)
    made = whole(MaskedWindows(Tokens.of([*range(10, 20)]), MASKING, **{**SIZES, "context": 6}))
    assert len(batches) == 2
    restored = np.where(made["targets"] >= 0, made["targets"], made["inputs"])
    rows = {tuple(row) for row in restored.tolist()}
    assert rows == {(1, 10, 11, 12, 13, 2), (1, 14, 15, 16, 17, 2), (1, 18, 19, 2, 0, 0)}
    short = restored[:, 3] == 2
    assert made["positions"][short].tolist()[0] == [0, 1, 2, 3, -1, -1]
    assert made["positions"][~short].tolist()[0] == [0, 1, 2, 3, 4, 5]
    assert not made["segments"].any()


def test_hidden_tokens_are_those_of_the_text_and_none_is_special() -> None:
    batches = MaskedWindows(Tokens.of(STREAM), MASKING, shuffle=False, **SIZES)
    made = whole(batches)
    chosen = made["targets"] >= 0
    restored = np.where(chosen, made["targets"], made["inputs"])
    assert restored[:, 1:-1].ravel().tolist() == STREAM.tolist()
    assert made["targets"][chosen].min() > 3
    assert not chosen[made["positions"] < 0].any()


def within(count: int, total: int, share: float) -> bool:
    """Four standard deviations of a binomial."""
    return abs(count - total * share) < 4 * math.sqrt(total * share * (1 - share))


def test_shares_are_berts() -> None:
    made = whole(MaskedWindows(Tokens.of(STREAM), MASKING, **SIZES))
    chosen = made["targets"] >= 0
    seen, target = made["inputs"][chosen], made["targets"][chosen]
    hidden, same = seen == 3, seen == target
    ordinary = int((STREAM > 3).sum())
    assert within(int(chosen.sum()), ordinary, 0.15)
    assert within(int(hidden.sum()), chosen.sum(), 0.8)
    assert within(int(same.sum()), chosen.sum(), 0.1 + 0.1 / (VOCAB - 4))
    random = seen[~hidden & ~same]
    assert random.min() > 3
    assert len(np.unique(random)) == VOCAB - 4
    assert np.bincount(random, minlength=VOCAB)[4:].max() < 4 * random.size / (VOCAB - 4)


def test_draws_follow_from_seed_epoch_and_row_alone() -> None:
    def targets(batch: int, seed: int = 0, epoch: int = 0) -> list[list[int]]:
        sizes = {**SIZES, "batch": batch}
        made = MaskedWindows(Tokens.of(STREAM[:4800]), MASKING, seed=seed, shuffle=False, **sizes)
        return whole(made, epoch)["targets"].tolist()[:100]

    assert targets(4) == targets(10)
    assert targets(4) != targets(4, seed=1)
    assert targets(4) != targets(4, epoch=1)


def test_filling_rows_have_no_targets() -> None:
    batches = MaskedWindows(Tokens.of(STREAM[:48]), MASKING, **SIZES)
    assert (batches.at(0)["targets"][1:] == -1).all()
    assert (batches.at(0)["positions"][3] == np.arange(50)).all()


def test_digest_follows_from_the_masking() -> None:
    tokens = Tokens.of(STREAM)
    other = MaskingConfig(cls=1, sep=2, mask=3, special=MASKING.special, share=0.2)
    made = [
        MaskedWindows(tokens, MASKING, **SIZES),
        MaskedWindows(tokens, other, **SIZES),
        MaskedWindows(tokens, MASKING, **SIZES, seed=1),
        MaskedWindows(tokens, MASKING, **{**SIZES, "vocab": 105}),
    ]
    assert len({batches.digest for batches in made}) == len(made)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context": 2}, "expected a context of 3 or more, got 2"),
        ({"vocab": 90}, "expected tokens in 0 … 89, got 103"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MaskedWindows(Tokens.of(STREAM), MASKING, **{**SIZES, **changes})


def test_share_out_of_bounds_is_refused() -> None:
    masking = MaskingConfig(cls=1, sep=2, mask=3, special=frozenset(), share=1.5)
    with pytest.raises(InputError, match=r"share of masked tokens in \(0, 1\], got 1\.5"):
        MaskedWindows(Tokens.of(STREAM), masking, **SIZES)
