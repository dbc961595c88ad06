"""The focal loss (arXiv:1708.02002, eq. 4) over classes: what is easy counts little."""

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
"""Where 1 - p vanishes, its logarithm is taken of this."""


@accumulated
def focal(ops: Ops, logits: Array, targets: Array, gamma: float) -> Array:
    """-(1 - p)^gamma · log p of each target's probability p; 0 where a target is negative.

    ``logits (…, classes)``, ``targets (…)`` int32. 1 - p is summed over the other classes, for a
    difference would lose all digits where p is near 1.
    """
    logs = ops.log_softmax(logits, -1)
    target = ops.one_hot(targets, logits.shape[-1], ops.dtype(logits))
    others = ops.sum(ops.exp(logs) * (constant(ops, 1.0, logs) - target), -1)
    hardness = ops.log(ops.maximum(others, constant(ops, _LEAST, logs)))
    return -ops.exp(constant(ops, gamma, logs) * hardness) * ops.sum(logs * target, -1)


@final
class FocalLoss(Loss):
    """Σ `focal`, counted by targets that are not negative; ``options["gamma"]`` is 2 by default."""

    def __init__(self, ops: Ops, gamma: float) -> None:
        self._ops = ops
        self._gamma = gamma

    @classmethod
    def build(cls, factory: Factory, config: LossConfig) -> Self:
        """Raises `ConfigError` where the configuration asks for anything but a gamma."""
        gamma = config.options.get("gamma", 2.0)
        known = set(config.options) <= {"gamma"} and gamma >= 0
        require(config, "options", "nothing but a gamma of 0 or more", ok=known)
        require(config, "smoothing", "0 for a focal loss", ok=config.smoothing == 0)
        return cls(factory.ops, gamma)

    def declare(self) -> ParamTree:
        """No parameters."""
        return {}

    def __call__(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """The total over all targets, and how many count."""
        ops = self._ops
        flat, classes = ops.reshape(outputs, (-1, outputs.shape[-1])), ops.reshape(targets, (-1,))
        losses = focal(ops, flat, classes, self._gamma)
        real = ops.astype(classes >= ops.full((), 0, "int32"), ops.dtype(losses))
        return ops.sum(losses, 0), ops.sum(real, 0)
