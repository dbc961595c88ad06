"""Windows that overlap and are heard side by side, and what they say as one."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.speech.reel import Reel

__all__ = ["chunks_of", "joined_tokens"]

_SHARE = 6
"""A window shares a sixth of its length with the one before and with the one after."""
_MATCHES = 2
"""Fewer equal tokens than this are chance."""


def chunks_of(samples: Reel, size: int) -> Iterator[NDArray[Any]]:
    """Windows of a size, the first at 0. The first one that reaches the end is the last one."""
    for first in itertools.count(0, max(size - 2 * (size // _SHARE), 1)):
        found = samples.take(first, size + 1)
        yield found[:size]
        if len(found) <= size:
            return


def joined_tokens(rows: Sequence[Sequence[int]]) -> list[int]:
    """Tokens of windows that overlap as one row, each pair joined in the middle of what they share.

    Args:
        rows: of each window, one at least.
    """
    whole: list[int] = []
    left = list(rows[0])
    for row in rows[1:]:
        until, begin = _middle_of_overlap(left, row)
        whole += left[:until]
        left = list(row[begin:])
    return whole + left


def _middle_of_overlap(left: Sequence[int], right: Sequence[int]) -> tuple[int, int]:
    """How much of the left row is kept, and where the right one goes on."""
    best, found = 0.0, (len(left), 0)
    for shift in range(1, len(left) + len(right)):
        first = max(0, len(left) - shift)
        size = min(len(left), len(left) + len(right) - shift) - first
        begin = max(0, shift - len(left))
        equal = sum(
            a == b
            for a, b in zip(left[first : first + size], right[begin : begin + size], strict=True)
        )
        # of equal shares the longer overlap is the likelier one
        score = equal / shift + shift / 10_000
        if equal >= _MATCHES and score > best:
            best = score
            found = ((2 * first + size) // 2, (2 * begin + size) // 2)
    return found
