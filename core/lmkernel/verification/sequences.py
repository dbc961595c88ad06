"""What a subject is asked: rows of token ids, and how they are laid out for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Question", "Row"]

PADDING = -1
"""The position of padding."""


@final
@dataclass(frozen=True)
class Row:
    """One sequence of tokens.

    Args:
        name: what it is there to see.
        ids: its token ids.
        start: the position of its first token.
        target: what a decoder beside an encoder is fed; else nothing.
    """

    name: str
    ids: tuple[int, ...]
    start: int = 0
    target: tuple[int, ...] = ()

    @property
    def answered(self) -> tuple[int, ...]:
        """The tokens after each of which the model says what comes next."""
        return self.target or self.ids

    @property
    def positions(self) -> tuple[int, ...]:
        """The position of each token."""
        return tuple(range(self.start, self.start + len(self.ids)))


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
        }
        return frozenset(name for name, needs in needed.items() if needs)

    @property
    def time(self) -> int:
        """The number of columns."""
        return max(len(row.ids) for row in self.rows)

    @property
    def answered_time(self) -> int:
        """The number of columns of an answer, which are a target's where there is one."""
        return max(len(row.answered) for row in self.rows)

    def columns(self, number: int) -> slice:
        """Where the tokens of a row stand."""
        length = len(self.rows[number].ids)
        begin = self.time - length if self.side == "left" else 0
        return slice(begin, begin + length)

    def answered_columns(self, number: int) -> slice:
        """Where the answer to a row stands; targets are padded on the right."""
        target = self.rows[number].target
        return slice(0, len(target)) if target else self.columns(number)

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
        """``(batch, time)``."""
        made = np.full((len(self.rows), self.time), self.pad, np.int32)
        for number, row in enumerate(self.rows):
            made[number, self.columns(number)] = row.ids
        return made

    @property
    def positions(self) -> NDArray[np.int32]:
        """``(batch, time)``, -1 at padding."""
        made = np.full((len(self.rows), self.time), PADDING, np.int32)
        for number, row in enumerate(self.rows):
            made[number, self.columns(number)] = row.positions
        return made
