"""Losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.composed.precision import accumulated

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["mse", "soft_cross_entropy"]


def mse(ops: Ops, prediction: Array, target: Array) -> Array:
    """Mean of (prediction - target)² over all elements."""
    difference = ops.reshape(prediction - target, (-1,))
    return ops.mean(difference * difference, 0)


@accumulated
def soft_cross_entropy(ops: Ops, logits: Array, target: Array) -> Array:
    """-Σ target · log_softmax(logits) over the last axis."""
    return -ops.sum(ops.astype(target, ops.dtype(logits)) * ops.log_softmax(logits, -1), -1)
