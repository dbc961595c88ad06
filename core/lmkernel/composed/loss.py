"""Losses; 16-bit logits are widened before they are normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.composed.precision import accumulated, constant

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["cross_entropy", "mse", "soft_cross_entropy"]


def mse(ops: Ops, prediction: Array, target: Array) -> Array:
    """Mean of (prediction - target)² over all elements."""
    difference = ops.reshape(prediction - target, (-1,))
    return ops.mean(difference * difference, 0)


@accumulated
def cross_entropy(ops: Ops, logits: Array, targets: Array, smoothing: float = 0.0) -> Array:
    """The target's logarithm is selected, not multiplied by 1: others may be -∞."""
    logs, nothing = ops.log_softmax(logits, -1), constant(ops, 0.0, logits)
    hot = ops.one_hot(targets, logits.shape[-1], "bool")
    gain = ops.sum(ops.where(hot, logs, nothing), -1)
    if smoothing:
        spread = constant(ops, smoothing, logs) * ops.mean(logs, -1)
        gain = constant(ops, 1.0 - smoothing, logs) * gain + spread
    return ops.where(targets >= ops.full((), 0, "int32"), -gain, nothing)


@accumulated
def soft_cross_entropy(ops: Ops, logits: Array, target: Array) -> Array:
    """-Σ target · log_softmax(logits) over the last axis."""
    return -ops.sum(ops.astype(target, ops.dtype(logits)) * ops.log_softmax(logits, -1), -1)
