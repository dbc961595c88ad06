"""The rows of a batch that are in use, and the places that are free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, final

import numpy as np

from lmkernel.errors import CacheError
from lmkernel.generation.decoding import ROOM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Tree
    from lmkernel.model import DecodingState, Model
    from lmkernel.model.rows import StateRows

__all__ = ["RowBatch"]

_FEW = 64
"""So few slots are not worth clearing up."""


class _Row(Protocol):
    @property
    def newest(self) -> tuple[int, int]:
        """The token to be fed next, and its position."""
        ...


_R = TypeVar("_R", bound=_Row)


@final
class RowBatch(Generic[_R]):
    """Rows that are stepped together.

    The number of places is a power of two, so that few shapes are met; a free one is fed padding.

    Args:
        model: as for `Scheduler`.
        params: the same.
        rows: of the model.
    """

    def __init__(self, model: Model, params: Tree, rows: StateRows) -> None:
        self._model = model
        self._params = params
        self._rows = rows
        self._places: list[_R | None] = []
        self._first: list[int] = []  # the slot in which each place's row begins
        self._state: DecodingState | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def join(self, row: _R, single: DecodingState, more: int) -> None:
        """Take in a row with its state, which stays; ``more`` tokens may follow."""
        slots = range(single.used)
        if self._state is None:
            self._state = self._rows.select(
                single, [0], slots, used=single.used, capacity=single.used + min(more, ROOM)
            )
            self._places, self._first = [row], [0]
            return
        if None not in self._places:
            self._arrange([*range(len(self._places)), *[None] * len(self._places)])
        place = self._places.index(None)
        self._state = self._rows.insert(self._batch(), place, single, slots=slots)
        self._places[place] = row
        self._first[place] = self._state.used - single.used

    def leave(self, gone: Callable[[_R], bool]) -> None:
        """Free the places of rows."""
        self._places = [None if row is None or gone(row) else row for row in self._places]

    @property
    def rows(self) -> list[_R]:
        """Those in use."""
        return [row for row in self._places if row is not None]

    def step(self) -> list[tuple[_R, NDArray[Any]]]:
        """Feed each row its newest token; the rows with the logits after it."""
        rows = self._places
        if not len(self):
            return []
        state = self._batch()
        if state.used == state.capacity:
            state = self._model.grow(state, 2 * state.capacity)
        fed = [(0, -1) if row is None else row.newest for row in rows]
        tokens, positions = np.array(fed, np.int32).T[:, :, None]
        self._state = None  # a step that fails leaves nothing to go on from
        logits, self._state = self._model.step(self._params, tokens, positions, state)
        if self._state.fed is not None:  # the step may have fed all of it anew, to fewer slots
            own = self._state.fed[1] >= 0
            missing = self._state.used - own.shape[1]
            self._first = [max(int(first) + missing, 0) for first in own.argmax(1)]
        return [(row, own) for row, own in zip(rows, logits, strict=True) if row is not None]

    def clear(self) -> None:
        """Give up all rows."""
        self._places, self._first, self._state = [], [], None

    def tidy(self, *, expecting: bool) -> None:
        """Give up memory that no row uses; places are kept where further rows are expected."""
        if not len(self):
            self.clear()
            return
        used = [place for place, row in enumerate(self._places) if row is not None]
        size = len(self._places)
        if not expecting:
            while 2 * len(used) <= size:
                size //= 2
        first = min(self._first[place] for place in used)
        many = self._batch().used
        if size < len(self._places) or (2 * first >= many > _FEW):
            places: list[int | None] = [*used, *[None] * (size - len(used))]
            self._arrange(places, first)

    def _arrange(self, places: Sequence[int | None], first: int = 0) -> None:
        """Other places in another order, without the slots before the first."""
        state = self._batch()
        self._state = self._rows.select(
            state,
            places,
            range(first, state.used),
            used=state.used - first,
            capacity=state.capacity - first,
        )
        self._places = [None if p is None else self._places[p] for p in places]
        self._first = [0 if p is None else self._first[p] - first for p in places]

    def _batch(self) -> DecodingState:
        if self._state is None:
            raise CacheError("expected rows that go on, got those of a step that failed")
        return self._state
