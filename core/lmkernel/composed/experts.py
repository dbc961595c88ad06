"""Products with the matrices of experts, a matrix for each row.

Constraint: which expert a row uses is known on the device alone. A few rows, as in decoding, each
take a copy of their matrix; many would take too much memory, so they are multiplied by all of them
and keep one product, whose cost grows with the number of experts. A backend that can read the
choice, or whose library groups rows by it, overrides this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.composed.precision import constant

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["expert_linear"]


def expert_linear(ops: Ops, x: Array, weight: Array, experts: Array) -> Array:
    """Each row by its own matrix, or by every one; see `OptionalOps.expert_linear`."""
    count, out, into = weight.shape
    rows = x.shape[0]
    if rows <= count:
        matrices = ops.take(weight, experts, 0)
        return ops.reshape(ops.matmul(matrices, ops.reshape(x, (rows, into, 1))), (rows, out))
    chosen = ops.reshape(experts, (rows, 1))
    result = None
    for expert in range(count):
        y = ops.linear(x, ops.reshape(weight[expert : expert + 1], (out, into)))
        here = chosen == ops.full((), expert, "int32")
        result = ops.where(here, y, constant(ops, 0.0, y) if result is None else result)
    return result
