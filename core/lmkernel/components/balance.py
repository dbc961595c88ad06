"""The loss that balances the experts of a mixture in training (arXiv:2101.03961, §2.2).

Constraint: the shares are of all layers together, as in transformers, and not of each by itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lmkernel.components.experts import find_best
from lmkernel.composed.precision import constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["balance_loss"]


def balance_loss(ops: Ops, routed: Sequence[Array], positions: Array, chosen: int) -> Array:
    """How unevenly positions use the experts: E · Σ (share of the choices) · (mean probability).

    It is ``chosen`` where every expert is used alike, and grows from there.

    Args:
        ops: the backend's operations.
        routed: the logits of each layer's router, ``(batch, time, experts)``, one at least.
        positions: int32 ``(batch, time)``; padding, which is negative, does not count.
        chosen: number of experts that each position uses.

    Returns:
        0-d, in the dtype of the logits.
    """
    rows, experts = math.prod(positions.shape), routed[0].shape[-1]
    real = ops.astype(positions >= ops.full((), 0, "int32"), ops.dtype(routed[0]))
    real = ops.reshape(real, (rows, 1))
    choices = probabilities = constant(ops, 0.0, real)
    for logits in routed:
        scores = ops.softmax(ops.reshape(logits, (rows, experts)), -1)
        # a choice has no gradient; what is made even are the probabilities that led to it
        indices, _ = find_best(ops, ops.stop_gradient(scores), chosen)
        hot = ops.sum(ops.one_hot(ops.concat(indices, 1), experts, ops.dtype(scores)), 1)
        choices = choices + ops.sum(hot * real, 0)
        probabilities = probabilities + ops.sum(scores * real, 0)
    one = constant(ops, 1.0, real)
    count = ops.maximum(ops.sum(ops.reshape(real, (rows,)), 0), one)  # all may be padding
    count = count * constant(ops, float(len(routed)), real)
    product = ops.sum((choices / count) * (probabilities / count), 0)
    return product * constant(ops, float(experts), real)
