"""The focal loss over classes (arXiv:1708.02002, eq. 4): easy targets count little."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, final

from lmkernel.composed.precision import accumulated, constant
from lmkernel.config.check import require
from lmkernel.interfaces import Loss, ParamTree

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Factory, LossConfig

__all__ = ["FocalLoss", "focal"]

_LEAST = 1e-30
"""The least 1 - p whose logarithm is taken, so that a certain target gives no infinity."""


@accumulated
def focal(ops: Ops, logits: Array, targets: Array, gamma: float) -> Array:
    """-(1 - p)^gamma · log p of each target's probability p; 0 where a target is negative.

    ``logits (…, classes)``, ``targets (…)`` int32. 1 - p is a sum over the other classes, since
    the difference would lose its digits where p is near 1.
    """
    logs = ops.log_softmax(logits, -1)
    target = ops.one_hot(targets, logits.shape[-1], ops.dtype(logits))
    others = ops.sum(ops.exp(logs) * (constant(ops, 1.0, logs) - target), -1)
    hardness = ops.log(ops.maximum(others, constant(ops, _LEAST, logs)))
    return -ops.exp(constant(ops, gamma, logs) * hardness) * ops.sum(logs * target, -1)


@final
class FocalLoss(Loss):
    """The sum of `focal` over all targets; ``options["gamma"]`` is 2 by default."""

    def __init__(self, ops: Ops, gamma: float) -> None:
        self._ops = ops
        self._gamma = gamma

    @classmethod
    def build(cls, factory: Factory, config: LossConfig) -> Self:
        """Build it from a configuration.

        Raises:
            ConfigError: the configuration has another option than a gamma of 0 or more.
        """
        gamma = config.options.get("gamma", 2.0)
        known = set(config.options) <= {"gamma"} and gamma >= 0
        require(config, "options", "nothing but a gamma of 0 or more", ok=known)
        require(config, "smoothing", "0 for a focal loss", ok=config.smoothing == 0)
        return cls(factory.ops, gamma)

    def declare(self) -> ParamTree:
        """No parameters."""
        return {}

    def __call__(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """The total over all targets, and the number of targets that are not negative."""
        ops = self._ops
        flat, classes = ops.reshape(outputs, (-1, outputs.shape[-1])), ops.reshape(targets, (-1,))
        losses = focal(ops, flat, classes, self._gamma)
        real = ops.astype(classes >= ops.full((), 0, "int32"), ops.dtype(losses))
        return ops.sum(losses, 0), ops.sum(real, 0)
