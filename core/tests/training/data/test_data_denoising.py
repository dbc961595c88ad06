"""Windows with spans hidden, as T5 and as BART are pre-trained."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel.errors import InputError
from lmkernel.random import raw_words
from lmkernel.training.data import Tokens, text_infilling
from lmkernel.training.data.denoising import DenoisedWindows, Marks
from lmkernel.training.data.span_corruption import SENTINELS, SpanCorruption, sentinel_ids
from lmkernel.training.data.text_infilling import TextInfilling
from lmkernel.training.data.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable


START, BEFORE, AFTER, END, MASK = 0, 5, 1, 1, 2
FIRST_SENTINEL, VOCAB = 10, 400
MARKS = Marks(start=START, before=[BEFORE], after=[AFTER], ends=[END])
TEXT = (raw_words(0, "denoising test", 20_000) % np.uint64(VOCAB - 200)).astype(np.int64) + 200
STREAM = TEXT.copy()
STREAM[::90] = END
SIZES = {"context": 64, "batch": 4, "vocab": VOCAB}


def spans(tokens: Any = STREAM, **changes: Any) -> SpanCorruption:
    sentinels = changes.pop("sentinels", range(FIRST_SENTINEL, FIRST_SENTINEL + 100))
    return SpanCorruption(Tokens.of(tokens), MARKS, sentinels=sentinels, **{**SIZES, **changes})


def infilling(tokens: Any = STREAM, **changes: Any) -> TextInfilling:
    return TextInfilling(Tokens.of(tokens), MARKS, **{"mask": MASK, **SIZES, **changes})


KINDS: list[Callable[..., DenoisedWindows]] = [spans, infilling]
both = pytest.mark.parametrize("made", KINDS, ids=["spans", "infilling"])


def rows_of(batches: DenoisedWindows, epoch: int = 0) -> list[tuple[list[int], list[int]]]:
    """What the encoder sees and the decoder says, in the order of the windows."""
    found = []
    for number in range(len(batches)):
        batch = batches.at(epoch * len(batches) + number)
        for line in range(len(batch["inputs"])):
            said = batch["targets"][line]
            if (said >= 0).any():
                seen = batch["inputs"][line][batch["positions"][line] >= 0]
                found.append((seen.tolist(), said[said >= 0].tolist()))
    return found


def restored(seen: list[int], said: list[int]) -> list[int]:
    """A window from its two sides: each sentinel replaced by what is said after it."""
    hidden: dict[int, list[int]] = {}
    current: list[int] = []
    for token in said:
        if FIRST_SENTINEL <= token < FIRST_SENTINEL + 100:
            current = hidden.setdefault(token, [])
        else:
            current.append(token)
    return list(itertools.chain.from_iterable(hidden.get(token, [token]) for token in seen))


def test_spans_said_after_their_sentinels_restore_the_documents() -> None:
    rows = rows_of(spans(shuffle=False))
    bare = [(seen[1:-1], said[1:-1]) for seen, said in rows]
    whole = list(itertools.chain.from_iterable(restored(*row) for row in bare))
    assert whole == STREAM[STREAM != END].tolist()


def test_spans_are_as_many_and_as_long_as_published() -> None:
    # T5's usual context of 512: 568 tokens, of which 85 are hidden in 28 spans
    bare = Marks(start=START, before=[], after=[END], ends=[END])
    made = SpanCorruption(
        Tokens.of(TEXT[: 568 * 4]), bare, sentinels=range(10, 110), **{**SIZES, "context": 512}
    )
    assert len(made) == 1
    for seen, said in rows_of(made):
        assert len(seen) == 568 - 85 + 28 + 1
        assert len(said) == 85 + 28 + 1
        sentinels = [token for token in seen if 10 <= token < 110]
        assert sentinels == [*range(10, 38)]
        assert [token for token in said if 10 <= token < 110] == sentinels


def test_what_is_seen_comes_first_and_a_span_last() -> None:
    for seen, said in rows_of(spans(TEXT, batch=1, shuffle=False))[:-1]:
        assert seen[1] >= 200
        assert FIRST_SENTINEL <= seen[-2] < FIRST_SENTINEL + 100
        assert said[0] == BEFORE
        assert said[1] == FIRST_SENTINEL


def test_each_partition_is_as_likely() -> None:
    """Six tokens, two hidden in two spans of one: the three seen parts before them are any."""
    made = spans(TEXT[:12_000], context=8, share=0.34, mean=1.0, batch=100)
    rows = [seen[1:-1] for seen, _ in rows_of(made)]
    first = np.array([next(i for i, token in enumerate(row) if token < 200) for row in rows])
    counts = np.bincount(first)[1:]
    assert len(counts) == 3, counts
    expected = len(rows) / 3
    assert (np.abs(counts - expected) < 4 * math.sqrt(expected)).all(), counts


def test_masks_in_place_of_spans_and_the_window_is_said_whole() -> None:
    rows = rows_of(infilling(shuffle=False))
    said = list(itertools.chain.from_iterable(row[1][1:-1] for row in rows))
    assert said == STREAM[STREAM != END].tolist()
    for seen, whole in rows:
        assert len(seen) <= 64
        left = iter(whole)
        # what is seen is what is said, in its order, with parts left out
        assert all(token in left for token in seen if token != MASK)


def test_share_and_lengths_of_masked_spans_are_barts() -> None:
    rows = rows_of(infilling(TEXT[: 62 * 300], batch=50))
    masks = np.array([seen.count(MASK) for seen, _ in rows])
    hidden = np.array([len(said) - len(seen) + seen.count(MASK) for seen, said in rows])
    assert (hidden == math.ceil(62 * 0.3)).all()
    # spans of Poisson(3) until 19 tokens are hidden: about 19 / 3 and a half more, for the cut one
    assert abs(masks.mean() - 19 / 3) < 0.9, masks.mean()
    assert masks.std() > 1


def test_lengths_are_poissons() -> None:
    table = text_infilling._poisson(3.0)
    expected = np.cumsum([math.exp(-3) * 3**k / math.factorial(k) for k in range(len(table))])
    np.testing.assert_allclose(table, expected, rtol=1e-15)
    assert table[-1] == pytest.approx(1, abs=1e-15)


@both
def test_decoder_is_fed_what_it_says_after_its_start(made: Callable[..., DenoisedWindows]) -> None:
    batch = made().at(0)
    assert (batch["target"][:, 0] == START).all()
    fed, later = batch["target"][:, 1:], batch["target_positions"][:, 1:] >= 0
    np.testing.assert_array_equal(fed[later], batch["targets"][:, :-1][later])
    np.testing.assert_array_equal(batch["target_positions"] >= 0, batch["targets"] >= 0)
    assert {array.shape for array in batch.values()} == {(4, 64)}
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int32)}


@both
def test_draws_follow_from_seed_epoch_and_row_alone(made: Callable[..., DenoisedWindows]) -> None:
    def rows(batch: int, seed: int = 0, epoch: int = 0) -> list[Any]:
        batches = made(STREAM[:3000], batch=batch, seed=seed, shuffle=False)
        return rows_of(batches, epoch)

    assert rows(4) == rows(7)
    assert rows(4) != rows(4, seed=1)
    assert rows(4) != rows(4, epoch=1)


@both
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_last_window_may_be_short(made: Callable[..., DenoisedWindows], count: int) -> None:
    ((seen, said),) = rows_of(made(TEXT[:count]))
    assert (seen[0], seen[-1], said[0], said[-1]) == (BEFORE, AFTER, BEFORE, AFTER)
    assert set(TEXT[:count].tolist()) <= {*seen, *said}


@both
def test_window_of_ends_alone_is_an_empty_text(made: Callable[..., DenoisedWindows]) -> None:
    assert rows_of(made([END, END])) == [([BEFORE, AFTER], [BEFORE, AFTER])]


@both
@pytest.mark.parametrize("context", [4, 5, 6, 9, 17, 100])
def test_both_sides_fit_into_any_context(
    made: Callable[..., DenoisedWindows], context: int
) -> None:
    for seed in range(5):
        for seen, said in rows_of(made(TEXT[:2000], context=context, seed=seed)):
            assert len(seen) <= context
            assert len(said) <= context


def test_filling_rows_have_no_targets() -> None:
    batch = spans(TEXT[:30]).at(0)
    assert (batch["targets"][1:] == -1).all()
    assert (batch["targets"][0] >= 0).any()


def test_digest_follows_from_all_that_the_windows_do() -> None:
    made = [
        spans(),
        spans(seed=1),
        spans(share=0.2),
        spans(mean=4.0),
        spans(sentinels=range(20, 120)),
        spans(context=65),
        infilling(),
        infilling(mask=3),
        infilling(share=0.2),
    ]
    assert len({batches.digest for batches in made}) == len(made)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context": 3}, "expected a context of 4 or more, got 3"),
        ({"vocab": 300}, r"expected tokens in 0 … 299, got 399"),
        ({"sentinels": range(10, 12)}, "expected 3 sentinels such as <extra_id_0> .* with 2"),
        ({"sentinels": range(390, 490)}, "expected sentinels in 0 … 399, got 489"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        spans(**changes)


def test_mask_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(InputError, match="expected a mask in 0 … 399, got 400"):
        infilling(mask=400)


def test_sentinels_are_found_in_a_vocabulary() -> None:
    roles = {"eos_token": "</s>", "pad_token": "<pad>"}
    assert sentinel_ids(train_tokenizer(["a"], 300, roles)) == ()
    made = train_tokenizer(["a"], 400, roles, extra=SENTINELS)
    assert sentinel_ids(made) == tuple(range(2, 102))
    assert made.encode("a<extra_id_1>b") == [*made.encode("a"), 3, *made.encode("b")]
    pieces = train_tokenizer(["a"], 400, roles, extra=["▁<extra_id_0>", "▁<extra_id_2>"])
    assert sentinel_ids(pieces) == (2,)
