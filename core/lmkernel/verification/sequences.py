"""What a subject is asked: rows of token ids, and how they are laid out for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Question", "Row"]

PADDING = -1
"""The position of padding."""
_PIXELS, _SAMPLES = 3, 2
"""Axes of a picture, and of a sound."""


@final
@dataclass(frozen=True)
class Row:
    """One sequence of tokens, or a picture or a sound.

    Args:
        name: what it is there to see.
        ids: its token ids; none for a picture or a sound.
        start: the position of its first token.
        target: what a decoder beside an encoder is fed; else nothing.
        source: what is read in place of tokens: pixels ``(channels, height, width)``, or a sound's
            frames ``(time, bins)`` or samples ``(time, 1)``; or the picture that is shown among the
            tokens.
        vectors: how many vectors that becomes.
    """

    name: str
    ids: tuple[int, ...]
    start: int = 0
    target: tuple[int, ...] = ()
    source: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    vectors: int = 0

    @property
    def columns(self) -> int:
        """How many vectors a model makes of what it reads."""
        return len(self.ids) or self.vectors

    @property
    def answers(self) -> int:
        """How many positions a model says something about, unless its head pools."""
        return len(self.target) or self.columns

    @property
    def answered(self) -> tuple[int, ...]:
        """The tokens after each of which the model says what comes next."""
        return self.target or self.ids

    @property
    def positions(self) -> tuple[int, ...]:
        """The position of each token."""
        return tuple(range(self.start, self.start + self.columns))


def _axes(row: Row) -> int:
    return 0 if row.source is None else row.source.ndim


@final
@dataclass(frozen=True)
class Question:
    """Rows as a subject is given them.

    Args:
        name: what it is there to see.
        rows: those that stand in it.
        side: where shorter rows are padded.
        prefill: so many tokens are fed at once and the others one by one, through the subject's
            cache of keys and values; 0 for all at once.
        pad: the token id at padding.
    """

    name: str
    rows: tuple[Row, ...]
    side: Literal["left", "right"] = "right"
    prefill: int = 0
    pad: int = 0

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a subject must have to be asked."""
        needed = {
            "batch": len(self.rows) > 1,
            "left-padding": len(self.rows) > 1 and self.side == "left",
            "positions": any(row.start for row in self.rows),
            "decoding": self.prefill > 0,
            "target": any(row.target for row in self.rows),
            "pictures": any(_axes(row) == _PIXELS and not row.ids for row in self.rows),
            "shown": any(row.ids and row.source is not None for row in self.rows),
            "sounds": any(_axes(row) == _SAMPLES for row in self.rows),
        }
        return frozenset(name for name, needs in needed.items() if needs)

    @property
    def time(self) -> int:
        """The number of columns."""
        return max(row.columns for row in self.rows)

    @property
    def answered_time(self) -> int:
        """The number of columns of an answer, which are a target's where there is one."""
        return max(row.answers for row in self.rows)

    def columns(self, number: int) -> slice:
        """Where the tokens of a row stand."""
        length = self.rows[number].columns
        begin = self.time - length if self.side == "left" else 0
        return slice(begin, begin + length)

    def answered_columns(self, number: int) -> slice:
        """Where the answer to a row stands; targets are padded on the right."""
        target = self.rows[number].target
        return slice(0, len(target)) if target else self.columns(number)

    @property
    def source(self) -> NDArray[np.float32] | None:
        """``(batch, …)`` of what is read in place of tokens or shown among them, or None."""
        sources = [row.source for row in self.rows if row.source is not None]
        return np.stack(sources) if sources else None

    @property
    def target(self) -> NDArray[np.int32]:
        """``(batch, target time)``, padded on the right; of no columns without targets."""
        return self._targets([row.target for row in self.rows], self.pad)

    @property
    def target_positions(self) -> NDArray[np.int32]:
        """``(batch, target time)``, -1 at padding."""
        return self._targets([tuple(range(len(row.target))) for row in self.rows], PADDING)

    def _targets(self, rows: list[tuple[int, ...]], fill: int) -> NDArray[np.int32]:
        made = np.full((len(rows), max(map(len, rows))), fill, np.int32)
        for number, row in enumerate(rows):
            made[number, : len(row)] = row
        return made

    @property
    def ids(self) -> NDArray[np.int32]:
        """``(batch, time)``; of no columns where no tokens are read."""
        time = max(len(row.ids) for row in self.rows)
        made = np.full((len(self.rows), time), self.pad, np.int32)
        for number, row in enumerate(self.rows):
            made[number, self.columns(number)] = row.ids  # none where no tokens are read
        return made

    @property
    def positions(self) -> NDArray[np.int32]:
        """``(batch, time)``, -1 at padding."""
        made = np.full((len(self.rows), self.time), PADDING, np.int32)
        for number, row in enumerate(self.rows):
            made[number, self.columns(number)] = row.positions
        return made
