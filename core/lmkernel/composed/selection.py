"""Operations that select or drop elements, and the identity in place of gradient checkpointing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.composed.precision import constant

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops

__all__ = ["dropout", "one_hot", "remat"]


def one_hot(ops: Ops, indices: Array, size: int, dtype: DType) -> Array:
    """Compares each index with 0 … size - 1."""
    column = ops.reshape(indices, (*indices.shape, 1))
    return ops.astype(column == ops.arange(0, size, "int32"), dtype)


def dropout(ops: Ops, x: Array, key: Array, rate: float) -> Array:
    """Kept where the uniform draw is at least ``rate``."""
    draws = ops.random_uniform(key, x.shape, "float32")
    kept = draws >= ops.full((), rate, "float32")
    return ops.where(kept, x / constant(ops, 1.0 - rate, x), constant(ops, 0.0, x))


def remat(_: Ops, f: Callable[..., Tree]) -> Callable[..., Tree]:
    """Everything is kept, which is right, though it takes more memory."""
    return f
