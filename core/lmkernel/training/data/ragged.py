"""Sequences of unequal lengths, kept end to end in one array, and padded on the right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Ragged", "positions_of"]


@final
class Ragged:
    """Sequences of int32.

    Args:
        rows: one-dimensional each.
    """

    def __init__(self, rows: Iterable[ArrayLike]) -> None:
        arrays = [np.asarray(row, np.int32) for row in rows]
        self.lengths = np.array([array.size for array in arrays], np.int64)
        self.values = np.concatenate([np.empty(0, np.int32), *arrays])
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)])

    def __len__(self) -> int:
        """How many sequences there are."""
        return len(self.lengths)

    def row(self, number: int) -> NDArray[np.int32]:
        """One sequence."""
        return self.values[self._starts[number] : self._starts[number + 1]]

    def pad_rows(self, rows: NDArray[np.int64], length: int, fill: int) -> NDArray[np.int32]:
        """Some sequences as ``(rows, length)``, filled up on the right."""
        out = np.full((len(rows), length), fill, np.int32)
        for line, number in zip(out, rows, strict=True):
            line[: self.lengths[number]] = self.row(int(number))
        return out

    def parts(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """What tells it from others, for a digest."""
        return self.lengths, self.values

    def check_tokens(self, vocab: int, places: Sequence[str], what: str = "tokens") -> None:
        """Raise `InputError` naming the first sequence with a token outside ``0 … vocab - 1``."""
        wrong = np.flatnonzero((self.values < 0) | (self.values >= vocab))
        if wrong.size:
            number = int(np.searchsorted(self._starts, wrong[0], "right")) - 1
            raise InputError(
                f"{places[number]}: expected {what} in 0 … {vocab - 1}, got {self.values[wrong[0]]}"
            )

    def check_lengths(self, context: int, places: Sequence[str], what: str = "tokens") -> None:
        """Raise `InputError` naming the first sequence that is empty or above the context."""
        wrong = np.flatnonzero((self.lengths < 1) | (self.lengths > context))
        if wrong.size:
            raise InputError(
                f"{places[wrong[0]]}: expected 1 to {context} {what}, the model's context, "
                f"got {self.lengths[wrong[0]]}; truncate (--truncate) cuts it"
            )


def positions_of(lengths: NDArray[np.int64], length: int) -> NDArray[np.int32]:
    """0, 1, 2, … of each row, and -1 at its padding."""
    steps = np.arange(length, dtype=np.int32)
    return np.where(steps < lengths[:, None], steps, np.int32(-1))
