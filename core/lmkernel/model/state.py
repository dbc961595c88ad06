"""The state of a decoder between steps: opaque, and consumed by each use."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from lmkernel.contract.trees import tree_map
from lmkernel.errors import CacheError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from lmkernel.backend import Backend
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.model.sight import Shown

    Fed = tuple[NDArray[np.int32], NDArray[np.int32]]

__all__ = ["DecodingState", "bucket", "chosen_rows", "copied"]


@final
class DecodingState:
    """What was decoded so far, on the device: for a transformer, its KV cache.

    A backend may reuse its memory for the next state, so a state serves once: using it again
    raises `CacheError`. `lmkernel.model.Model.fork` copies one.

    Args:
        tree: the decoder's own state.
        batch: the number of rows.
        used: slots written so far.
        capacity: slots in all.
        fed: host tokens and positions ``(batch, time)`` fed so far, where a later step may have to
            feed them again; else None.
        shown: vectors of pictures that are still to be fed; else None.
    """

    def __init__(
        self,
        tree: Tree,
        *,
        batch: int,
        used: int,
        capacity: int,
        fed: Fed | None = None,
        shown: Shown | None = None,
    ) -> None:
        self.batch = batch
        self.used = used
        self.capacity = capacity
        self.fed = fed
        self.shown = shown
        self._tree: Tree | None = tree

    def peek(self) -> Tree:
        """The tree, for reading only."""
        if self._tree is None:
            raise CacheError(
                "expected a fresh decoding state, got one that a step has consumed already; "
                "use the state that the step returned, or fork it before"
            )
        return self._tree

    def consume(self) -> Tree:
        """The tree, for the one use that it has."""
        tree = self.peek()
        self._tree = None
        return tree

    def followed_by(
        self, tree: Tree, *, used: int | None = None, capacity: int | None = None
    ) -> DecodingState:
        """A fresh state of the same rows with another tree."""
        return DecodingState(
            tree,
            batch=self.batch,
            used=self.used if used is None else used,
            capacity=self.capacity if capacity is None else capacity,
            fed=self.fed,
            shown=self.shown,
        )


def chosen_rows(backend: Backend, state: DecodingState, rows: Sequence[int]) -> DecodingState:
    """The state (consumed) of some of its rows, each as often as it is named, in that order."""
    ops = backend.ops
    with backend.scope(), backend.inference():
        index = ops.asarray(list(rows), "int32")
        # each array of a state has an axis of rows, the first
        tree = tree_map(lambda x: ops.take(x, index, 0), state.consume())
        shown = state.shown and state.shown.of_rows(ops, rows)
    fed = state.fed and (state.fed[0][list(rows)], state.fed[1][list(rows)])
    sizes = {"batch": len(rows), "used": state.used, "capacity": state.capacity}
    return DecodingState(tree, **sizes, fed=fed, shown=shown)


def bucket(needed: int, step: int) -> int:
    """The smallest of step, 2·step, 4·step, … that holds ``needed``; ``needed`` for a step of 1."""
    if step == 1:
        return needed
    size = step
    while size < needed:
        size *= 2
    return size


def copied(ops: Ops, tree: Tree) -> Tree:
    """The same arrays in memory of their own; None stays."""

    def copy(x: Array) -> Array:
        # `concat` of one array may return it as it is; a sum is always new memory
        return x if x is None else ops.concat([x], 0) + ops.full((), 0, ops.dtype(x))

    return tree_map(copy, tree)
