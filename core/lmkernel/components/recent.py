"""The KV cache of attention that keeps its newest slots alone: those of a window, or all so far.

The slots of a row lie in the order of their positions, the newest last. New ones follow the kept
ones, attention sees both, and of both together the newest are kept. Padding on the left of new ones
is passed over, so that each row keeps its own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["Recent", "keep", "lengthen"]


@final
class Recent:
    """The slots of all layers that keep as many of them, in one step.

    Args:
        ops: the backend's operations.
        before: int32 ``(batch, slots)``, the positions kept so far, -1 where there is none.
        new: int32 ``(batch, time)``, the new positions; rows are padded on the left.
        used: number of slots that may hold something, the new ones included.

    Attributes:
        seen: int32 ``(batch, seen)``, the positions that the step looks at, the new ones last.
        kept: int32 ``(batch, slots)``, the places of those that are kept.
        positions: int32 ``(batch, slots)``, their positions.
    """

    def __init__(self, ops: Ops, before: Array, new: Array, used: int) -> None:
        (batch, time), size = new.shape, before.shape[1]
        both = ops.reshape(ops.concat([before, new], 1), (batch, 1, size + time, 1))
        # how many new ones there are from the first on that is no padding
        real = ops.astype(new >= ops.full((), 0, "int32"), "int32")
        left = ops.full((), time, "int32") - ops.arange(0, time, "int32")
        count = ops.max(real * ops.reshape(left, (1, time)), 1, keepdims=True)
        # their padding stands behind the kept ones, which therefore move by that number alone
        slots = ops.reshape(ops.arange(time, size + time, "int32"), (1, size))
        moved = slots + (count - ops.full((), time, "int32"))
        self.kept = ops.where(moved < ops.full((), size, "int32"), moved, slots)
        self.seen = ops.reshape(both, (batch, size + time))[:, -min(used, size + time) :]
        self.positions = ops.reshape(keep(ops, both, self.kept), (batch, size))


def lengthen(ops: Ops, slots: Array, size: int, axis: int, empty: float = 0.0) -> Array:
    """So many slots along an axis; what is new stands in front, and holds ``empty``."""
    shape = [*slots.shape]
    shape[axis] = size - shape[axis]
    more = [ops.full(shape, empty, ops.dtype(slots))] if shape[axis] else []
    return ops.concat([*more, slots], axis)


def keep(ops: Ops, x: Array, kept: Array) -> Array:
    """The slots of ``x (batch, heads, slots, width)`` at the places ``kept (batch, count)``."""
    batch, heads, slots, width = x.shape
    # `take` has one list of indices for all rows, so these become one axis
    first = ops.arange(0, batch * heads, "int32") * ops.full((), slots, "int32")
    places = ops.reshape(kept, (batch, 1, kept.shape[1])) + ops.reshape(first, (batch, heads, 1))
    return ops.take(ops.reshape(x, (math.prod((batch, heads, slots)), width)), places, 0)
