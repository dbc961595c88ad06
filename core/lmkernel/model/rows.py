"""Rows that join and leave the state of a batch between steps.

Constraints: all that is known of a decoder's state is that axis 0 of each array holds the rows.
Which axis holds slots, if any, is seen by comparing two empty states of unequal capacity. Rows end
at the newest slot, so that all of them share the next one. Arrays whose names begin with ``recent``
hold the newest slots of each row alone, at their end, and no padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import numpy as np

from lmkernel.contract.trees import tree_map
from lmkernel.errors import InputError
from lmkernel.model.feeding import join_columns
from lmkernel.model.state import DecodingState, bucket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.model.model import Model
    from lmkernel.model.state import Fed

__all__ = ["StateRows"]


@final
class StateRows:
    """Takes rows out of decoding states and puts them into others.

    Args:
        model: with a decoder and no encoder.
        params: its parameters, from `Model.pack` or `Model.place`.

    Raises:
        InputError: the model does not decode, or it reads an encoder's output.
    """

    def __init__(self, model: Model, params: Tree) -> None:
        if model.encoder is not None:
            raise InputError("expected a model of a decoder alone, got one with an encoder")
        self._model = model
        self._step = model.backend.capabilities.shape_step
        self._params = params
        larger = model.begin(params, 1, self._step + 1).peek()
        self._axes = _axes_of(model.begin(params, 1, self._step).peek(), larger)
        self._insert = model.backend.ops.compile(self._replace_row, donate=(0,))

    @property
    def sliceable(self) -> bool:
        """Whether a row may be cut short: all that is kept of it lies in slots."""
        axes: list[int] = []
        tree_map(axes.append, self._axes)
        return min(axes) > 0

    def select(
        self,
        state: DecodingState,
        rows: Sequence[int | None],
        slots: range,
        *,
        used: int,
        capacity: int,
    ) -> DecodingState:
        """A new state of some rows; the old one stays.

        Args:
            state: where they are.
            rows: the number of each; None makes an empty row.
            slots: those that are taken along.
            used: the new number of slots in use, of which ``slots`` become the last.
            capacity: the least number of slots of the new state.
        """
        capacity = bucket(capacity, self._step)
        new = self._model.begin(self._params, 1, capacity).peek()
        old = np.arange(capacity) - used + slots.stop
        there = (old >= slots.start) & (old < slots.stop)
        ops = self._model.backend.ops
        with self._model.backend.scope(), self._model.backend.inference():
            numbers = ops.asarray([row or 0 for row in rows], "int32")
            sources = ops.asarray(np.where(there, old, 0), "int32")
            real = np.array([row is not None for row in rows])

            def taken(x: Array, empty: Array, axis: int) -> Array:
                shape = [len(rows), *[1] * (len(x.shape) - 1)]
                mask, x = real.reshape(shape), ops.take(x, numbers, 0)
                if axis < 0:  # the newest stay at the end
                    shape[0], shape[-axis] = 1, empty.shape[-axis]
                    newest = np.arange(shape[-axis]) + x.shape[-axis] - shape[-axis]
                    mask = mask & (newest >= 0).reshape(shape)
                    x = ops.take(x, ops.asarray(np.maximum(newest, 0), "int32"), -axis)
                if axis > 0:
                    shape[0], shape[axis] = 1, capacity
                    mask, x = mask & there.reshape(shape), ops.take(x, sources, axis)
                    empty = empty[_slice_at(axis, 1)]
                return ops.where(ops.asarray(mask, "bool"), x, empty)

            tree = tree_map(taken, state.peek(), new, self._axes)
        fed = state.fed and _fed_rows(state.fed, rows)
        return DecodingState(tree, batch=len(rows), used=used, capacity=capacity, fed=fed)

    def insert(
        self, state: DecodingState, row: int, single: DecodingState, *, slots: range
    ) -> DecodingState:
        """The state (consumed) with a row in place of one of its own.

        Args:
            state: the batch; it grows if the new row is longer than all others.
            row: the number of the row that is given up.
            single: a state of one row, which stays.
            slots: those of its slots that are taken along.
        """
        used = max(state.used, len(slots))
        if used > state.capacity:
            state = self._model.grow(state, bucket(used, self._step))
        aligned = self.select(single, [0], slots, used=used, capacity=state.capacity)
        fed = state.fed and aligned.fed and _fed_with(state.fed, row, aligned.fed)
        batch, capacity = state.batch, state.capacity
        with self._model.backend.scope(), self._model.backend.inference():
            number = self._model.backend.ops.asarray(row, "int32")
            tree = self._insert(state.consume(), aligned.peek(), number)
        return DecodingState(tree, batch=batch, used=used, capacity=capacity, fed=fed)

    def _replace_row(self, tree: Tree, single: Tree, row: Array) -> Tree:
        ops = self._model.backend.ops
        return tree_map(lambda x, new: ops.cache_update(x, new, row, 0), tree, single)


def _axes_of(x: Tree, y: Tree, *, recent: bool = False) -> Tree:
    """The axis of slots of each array, negative where there are the newest ones alone."""
    if isinstance(x, dict):
        return {
            name: _axes_of(one, y[name], recent=recent or name.startswith("recent"))
            for name, one in x.items()
        }
    if isinstance(x, list | tuple):
        return type(x)(_axes_of(one, other, recent=recent) for one, other in zip(x, y, strict=True))
    axis = _differing_axis(x, y)
    return -axis if recent else axis


def _differing_axis(x: Array, y: Array) -> int:
    """The axis whose extents differ; 0, which is that of the rows, if none does."""
    pairs = enumerate(zip(x.shape, y.shape, strict=True))
    return next((axis for axis, (one, other) in pairs if one != other), 0)


def _slice_at(axis: int, stop: int) -> tuple[slice, ...]:
    return (*[slice(None)] * axis, slice(0, stop))


def _fed_rows(fed: Fed, rows: Sequence[int | None]) -> Fed:
    tokens, positions = (np.take(x, [row or 0 for row in rows], 0) for x in fed)
    positions[[row is None for row in rows]] = -1
    first = int((positions >= 0).any(0).argmax())  # columns that hold padding alone are left out
    return tokens[:, first:], positions[:, first:]


def _fed_with(fed: Fed, row: int, single: Fed) -> Fed:
    """What was fed to all rows, all of them ending at the newest token."""
    width = max(fed[0].shape[1], single[0].shape[1])
    (tokens, positions), one = (_pad_left(pair, width) for pair in (fed, single))
    tokens[row], positions[row] = one[0][0], one[1][0]
    return tokens, positions


def _pad_left(fed: Fed, width: int) -> Fed:
    shape = (fed[0].shape[0], width - fed[0].shape[1])
    padding: tuple[NDArray[np.int32], NDArray[np.int32]]
    padding = np.zeros(shape, np.int32), np.full(shape, -1, np.int32)
    return join_columns(padding, fed)
