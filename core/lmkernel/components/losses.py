"""The losses of the tutorial's section 3.2, as totals and counts."""

from __future__ import annotations

import math
from abc import ABC
from typing import TYPE_CHECKING, final

from lmkernel.components.configured import Configured
from lmkernel.composed.precision import constant
from lmkernel.interfaces import Loss, LossConfig, ParamTree

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array

__all__ = [
    "BinaryCrossEntropy",
    "CrossEntropy",
    "MeanSquaredError",
    "SoftCrossEntropy",
    "SpanCrossEntropy",
]


class _PlainLoss(Configured[LossConfig], Loss, ABC):
    """Without parameters."""

    def declare(self) -> ParamTree:
        return {}


@final
class MeanSquaredError(_PlainLoss):
    """Σ (y - t)², counted by elements."""

    def __call__(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        count = constant(self._ops, float(math.prod(outputs.shape)), outputs)
        return self._ops.mse(outputs, targets) * count, count


@final
class CrossEntropy(_PlainLoss):
    """-Σ log softmax(y)[class], counted by targets that are not ignored (negative)."""

    def __call__(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        ops = self._ops
        flat, classes = ops.reshape(outputs, (-1, outputs.shape[-1])), ops.reshape(targets, (-1,))
        losses = ops.cross_entropy(flat, classes, self._config.smoothing)
        real = ops.astype(classes >= ops.full((), 0, "int32"), ops.dtype(losses))
        return ops.sum(losses, 0), ops.sum(real, 0)


@final
class SoftCrossEntropy(_PlainLoss):
    """-Σ t · log softmax(y), counted by distributions."""

    def __call__(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        ops = self._ops
        losses = ops.reshape(ops.soft_cross_entropy(outputs, targets), (-1,))
        return ops.sum(losses, 0), constant(ops, float(losses.shape[0]), losses)


@final
class SpanCrossEntropy(_PlainLoss):
    """-log softmax over the positions, of each start and each end of a span.

    Outputs and targets are ``(batch, time, sides)``. A target is 1 where a side is, 0 where it
    might be, and negative where it cannot be, which takes no part in the softmax. A side that is
    nowhere is ignored.
    """

    def __call__(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        ops = self._ops
        y, t = (ops.permute_dims(x, (0, 2, 1)) for x in (outputs, targets))
        t = ops.astype(t, ops.dtype(y))
        zero = ops.full((), 0.0, ops.dtype(y))
        masked = ops.where(t < zero, ops.full((), -1e9, ops.dtype(y)), y)
        where = ops.maximum(t, zero)
        losses = ops.reshape(ops.soft_cross_entropy(masked, where), (-1,))
        count = ops.reshape(ops.sum(where, 2), (-1,))
        return ops.sum(losses, 0), ops.sum(ops.astype(count, ops.dtype(losses)), 0)


@final
class BinaryCrossEntropy(_PlainLoss):
    """-Σ t·log σ(y) + (1 - t)·log(1 - σ(y)), counted by targets; negative ones are ignored."""

    def __call__(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        ops = self._ops
        t = ops.astype(targets, ops.dtype(outputs))
        zero, one = (ops.full((), value, ops.dtype(outputs)) for value in (0.0, 1.0))
        # log(1 + exp(y)) - t·y, in the form that no y overflows
        magnitude = ops.maximum(outputs, -outputs)
        losses = ops.maximum(outputs, zero) - t * outputs + ops.log(one + ops.exp(-magnitude))
        real = t >= zero
        total = ops.reshape(ops.where(real, losses, zero), (-1,))
        count = ops.reshape(ops.astype(real, ops.dtype(outputs)), (-1,))
        return ops.sum(total, 0), ops.sum(count, 0)
