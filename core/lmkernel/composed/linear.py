"""The affine map."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["linear"]


def linear(ops: Ops, x: Array, weight: Array, bias: Array | None = None) -> Array:
    """x·Wᵀ + b, as one matrix product over all leading axes."""
    rows = ops.reshape(x, (-1, x.shape[-1]))
    y = ops.matmul(rows, ops.permute_dims(weight, (1, 0)))
    y = ops.reshape(y, (*x.shape[:-1], weight.shape[0]))
    return y if bias is None else y + bias
