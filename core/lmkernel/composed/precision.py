"""How composed operations keep precision: typed constants, wide accumulation."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from lmkernel.contract.capabilities import WIDE

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["accumulated", "constant"]


def constant(ops: Ops, value: float, like: Array) -> Array:
    """``value`` as a 0-d array in the dtype of ``like``."""
    return ops.full((), value, ops.dtype(like))


def accumulated(f: Callable[..., Array]) -> Callable[..., Array]:
    """Run ``f(ops, x, …)`` in the dtype that ``x`` accumulates in, and return to the dtype of x."""

    @functools.wraps(f)
    def wide(ops: Ops, x: Array, *args: Any, **options: Any) -> Array:
        narrow = ops.dtype(x)
        if narrow not in WIDE:
            return f(ops, x, *args, **options)
        return ops.astype(f(ops, ops.astype(x, WIDE[narrow]), *args, **options), narrow)

    return wide
