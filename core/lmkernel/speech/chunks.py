"""Windows that overlap and are heard side by side, and what they say as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["chunk_starts", "joined_tokens"]

_SHARE = 6
"""A window shares a sixth of its length with the one before and with the one after."""
_MATCHES = 2
"""Fewer equal tokens than this are chance."""


def chunk_starts(count: int, size: int) -> list[int]:
    """Where windows of a size begin in so many samples, the first at 0."""
    shared = size // _SHARE
    starts = [*range(0, max(count - shared, 1), max(size - 2 * shared, 1))]
    # the first window that reaches the end is the last one
    last = next((i for i, start in enumerate(starts) if start + size >= count), len(starts) - 1)
    return starts[: last + 1]


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
