"""What is held out follows from the seed, and is what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lmkernel.errors import InputError
from lmkernel.training.data.shard_writer import token_shards
from lmkernel.training.data.split import choose_held_out, split_items, split_tokens
from lmkernel.training.data.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from pathlib import Path


def test_share_is_of_the_sizes() -> None:
    sizes = np.arange(1, 200)
    out = choose_held_out(sizes, 0.1, 7)
    assert 0.095 * sizes.sum() < sizes[out].sum() <= 0.1 * sizes.sum()


def test_seed_alone_decides() -> None:
    sizes = np.ones(50, np.int64)
    assert (choose_held_out(sizes, 0.2, 1) == choose_held_out(sizes, 0.2, 1)).all()
    assert (choose_held_out(sizes, 0.2, 1) != choose_held_out(sizes, 0.2, 2)).any()


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("sizes", [[5, 5], [1, 100], [100, 1, 1]])
def test_each_side_gets_something(sizes: list[int], share: float) -> None:
    for seed in range(8):
        out = choose_held_out(np.array(sizes), share, seed)
        assert out.any()
        assert not out.all()


def test_items_keep_their_order() -> None:
    items = [f"row {number}" for number in range(30)]
    first, second = split_items(items, 0.3, 0)
    assert len(second) == 9
    assert sorted([*first, *second], key=items.index) == items
    assert first == [item for item in items if item in first]
    assert second == [item for item in items if item in second]


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_share_outside_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="expected a validation share between 0 and 1, got"):
        split_items(["a", "b"], share, 0)


def test_one_row_cannot_be_choose_held_out() -> None:
    with pytest.raises(InputError, match="expected at least two examples to hold some out, got 1"):
        split_items(["a"], 0.5, 0)


def test_documents_go_whole_to_one_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path))
    texts = [chr(97 + number) * (number + 1) for number in range(26)]
    tokenizer = train_tokenizer(["q"], 257)
    training, validation = split_tokens(token_shards(texts, tokenizer), 0.25, 3)
    sides = [
        tokenizer.decode(side.read(0, len(side)), skip_special=False).split("<|endoftext|>")[:-1]
        for side in (training, validation)
    ]
    assert sorted(sides[0] + sides[1]) == texts
    assert 0.2 < len(validation) / (len(training) + len(validation)) <= 0.25
    assert validation.text_bytes == sum(map(len, sides[1]))
    assert training.digest != validation.digest


def test_one_document_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path))
    tokenizer = train_tokenizer(["q"], 257)
    training, validation = split_tokens(token_shards(["a" * 99], tokenizer), 0.1, 0)
    assert (len(training), len(validation)) == (90, 10)
    assert validation.read(0, 10)[-1] == 0
    assert validation.text_bytes == 10
