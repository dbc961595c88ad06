"""What is held out for validation: chosen by the seed alone, the same everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmkernel.errors import InputError
from lmkernel.random import raw_words
from lmkernel.training.data.order import digest_of
from lmkernel.training.data.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeVar

    from numpy.typing import NDArray

    from lmkernel.training.data.shards import Shards

    T = TypeVar("T")

__all__ = ["choose_held_out", "split_items", "split_tokens"]


def choose_held_out(sizes: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """True for the items that are held out.

    They are taken in an order drawn from the seed, each that still fits into ``share`` of the
    total size; if none fits, the smallest.

    Raises:
        InputError: fewer than two items, or a share that is not inside (0, 1).
    """
    _check_share(share)
    if len(sizes) < 2:  # noqa: PLR2004 - one on each side
        raise InputError(f"expected at least two examples to hold some out, got {len(sizes)}")
    order = np.argsort(raw_words(seed, "validation", len(sizes)), kind="stable")
    chosen = np.zeros(len(sizes), np.bool_)
    room = share * float(sizes.sum())
    for item in order:
        if sizes[item] <= room:
            chosen[item], room = True, room - sizes[item]
    if not chosen.any():
        chosen[np.argmin(sizes)] = True
    return chosen


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise InputError(f"expected a validation share between 0 and 1, got {share}")


def split_items(items: Sequence[T], share: float, seed: int) -> tuple[list[T], list[T]]:
    """Training and validation, each in the order of ``items``."""
    chosen = choose_held_out(np.ones(len(items), np.int64), share, seed)
    first = [item for item, out in zip(items, chosen, strict=True) if not out]
    return first, [item for item, out in zip(items, chosen, strict=True) if out]


def split_tokens(shards: Shards, share: float, seed: int) -> tuple[Tokens, Tokens]:
    """Training and validation by document; the end of a document that is alone is held out.

    Raises:
        InputError: a share that is not inside (0, 1).
    """
    if len(shards.spans) == 1:
        _check_share(share)
        return _cut(shards, share)
    chosen = choose_held_out(shards.lengths, share, seed)
    return shards.tokens(np.flatnonzero(~chosen)), shards.tokens(np.flatnonzero(chosen))


def _cut(shards: Shards, share: float) -> tuple[Tokens, Tokens]:
    """One document in two."""
    number, first, end = map(int, shards.spans[0])
    middle = end - max(1, round((end - first) * share))
    if middle == first:
        raise InputError("expected at least two tokens to hold one out, got one")
    return _part(shards, number, first, middle), _part(shards, number, middle, end)


def _part(shards: Shards, number: int, first: int, end: int) -> Tokens:
    """Some tokens of a document; its bytes are laid to them evenly."""
    share = (end - first) / int(shards.lengths[0])
    return Tokens(
        shards.arrays,
        np.array([[number, first, end]]),
        digest=digest_of(shards.digest, [first, end]),
        highest=shards.highest,
        text_bytes=round(int(shards.sizes[0]) * share),
    )
