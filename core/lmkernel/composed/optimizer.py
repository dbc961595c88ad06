"""The arithmetic of optimizer steps: the global norm, and Adam.

Constraint: what varies from step to step comes as 0-d arrays, so nothing is compiled twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.composed.precision import constant
from lmkernel.contract.capabilities import WIDE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["adam_update", "global_norm"]


def global_norm(ops: Ops, arrays: Sequence[Array]) -> Array:
    """The norm of all arrays; squares are summed by rows first, so that no sum has many terms."""
    total = _square_sum(ops, arrays[0])
    for x in arrays[1:]:
        total = total + _square_sum(ops, x)
    return ops.sqrt(total)


def _square_sum(ops: Ops, x: Array) -> Array:
    narrow = ops.dtype(x)
    wide = ops.astype(x, WIDE[narrow]) if narrow in WIDE else x
    squares = wide * wide
    if len(x.shape) > 1:
        squares = ops.sum(squares, -1)
    return ops.sum(ops.reshape(squares, (-1,)), 0)


def adam_update(
    ops: Ops,
    params: Sequence[Array],
    grads: Sequence[Array],
    first: Sequence[Array],
    second: Sequence[Array],
    scalars: Mapping[str, Array],
    *,
    beta1: float,
    beta2: float,
    eps: float,
    decays: Sequence[float],
) -> tuple[list[Array], list[Array], list[Array]]:
    """Parameter by parameter; m's bias is corrected in the learning rate, v's under the root."""
    rate, stride = scalars["rate"], scalars["rate"] * scalars["first_scale"]
    moved, means, squares = [], [], []
    for p, grad, m, v, decay in zip(params, grads, first, second, decays, strict=True):
        g = grad * scalars["grad_scale"]
        mean = _average(ops, m, g, beta1)
        square = _average(ops, v, g * g, beta2)
        root = ops.sqrt(square * scalars["second_scale"]) + constant(ops, eps, p)
        kept = p - p * (rate * constant(ops, decay, p)) if decay else p
        moved.append(kept - stride * mean / root)
        means.append(mean)
        squares.append(square)
    return moved, means, squares


def _average(ops: Ops, old: Array, new: Array, beta: float) -> Array:
    """β·old + (1 - β)·new."""
    return constant(ops, beta, old) * old + constant(ops, 1 - beta, old) * new
