"""The losses of the tutorial's section 3.2, as totals and counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self, final

from lmkernel.composed.precision import constant
from lmkernel.interfaces import Loss, ParamTree

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Factory, LossConfig

__all__ = ["CrossEntropy", "MeanSquaredError", "SoftCrossEntropy"]


@final
class MeanSquaredError(Loss):
    """Σ (y - t)², counted by elements."""

    def __init__(self, ops: Ops) -> None:
        self._ops = ops

    @classmethod
    def build(cls, factory: Factory, config: LossConfig) -> Self:
        del config
        return cls(factory.ops)

    def declare(self) -> ParamTree:
        return {}

    def __call__(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        count = constant(self._ops, float(math.prod(outputs.shape)), outputs)
        return self._ops.mse(outputs, targets) * count, count


@final
class CrossEntropy(Loss):
    """-Σ log softmax(y)[class], counted by targets that are not ignored (negative)."""

    def __init__(self, ops: Ops, smoothing: float) -> None:
        self._ops = ops
        self._smoothing = smoothing

    @classmethod
    def build(cls, factory: Factory, config: LossConfig) -> Self:
        return cls(factory.ops, config.smoothing)

    def declare(self) -> ParamTree:
        return {}

    def __call__(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        ops = self._ops
        flat, classes = ops.reshape(outputs, (-1, outputs.shape[-1])), ops.reshape(targets, (-1,))
        losses = ops.cross_entropy(flat, classes, self._smoothing)
        real = ops.astype(classes >= ops.full((), 0, "int32"), ops.dtype(losses))
        return ops.sum(losses, 0), ops.sum(real, 0)


@final
class SoftCrossEntropy(Loss):
    """-Σ t · log softmax(y), counted by distributions."""

    def __init__(self, ops: Ops) -> None:
        self._ops = ops

    @classmethod
    def build(cls, factory: Factory, config: LossConfig) -> Self:
        del config
        return cls(factory.ops)

    def declare(self) -> ParamTree:
        return {}

    def __call__(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        ops = self._ops
        losses = ops.reshape(ops.soft_cross_entropy(outputs, targets), (-1,))
        return ops.sum(losses, 0), constant(ops, float(losses.shape[0]), losses)
