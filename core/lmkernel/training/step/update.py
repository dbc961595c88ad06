"""From summed gradients to new parameters: the mean, clipping, the optimizer.

Constraint: the division by the count and the clipping are one factor, which the optimizer applies
while it reads the gradients, so that they are read twice in all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.composed.precision import constant

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops
    from lmkernel.training.step.optimizers import Optimizer

__all__ = ["Update", "clip_factor"]

Arrays = dict[str, Any]


def clip_factor(ops: Ops, norm: Array, limit: float) -> Array:
    """min(1, limit / norm): what gradients of this norm are multiplied by; 1 at norm 0.

    0 where the norm is infinite. Source: arXiv:1211.5063, §3.2.
    """
    highest = constant(ops, limit, norm)
    return highest / ops.maximum(norm, highest)


@final
class Update:
    """One optimizer step; pure, to be compiled.

    Args:
        ops: the backend's operations.
        optimizer: how gradients become new parameters.
        limit: largest global norm of the mean gradient, or 0 for no limit.
    """

    def __init__(self, ops: Ops, optimizer: Optimizer, limit: float) -> None:
        self._ops, self.optimizer, self._limit = ops, optimizer, limit

    def __call__(
        self, trainable: Arrays, state: Any, sums: Arrays, scalars: Arrays
    ) -> tuple[Arrays, Any, Arrays]:
        """(new parameters, new state, figures); all but ``scalars`` is consumed.

        The figures are ``"total"`` and ``"count"`` of the loss, and ``"norm"``, that of the
        gradient of the mean loss.
        """
        ops, total, gradients = self._ops, sums["total"], sums["gradients"]
        one = ops.full((), 1.0, ops.dtype(total))
        # only now is it known over how many targets the mean is; a batch may have none
        count = ops.maximum(sums["count"], one)
        # the norm is linear, so that of the sums divided is that of the mean
        whole = ops.global_norm([gradients[name] for name in sorted(gradients)])
        norm = ops.astype(whole, ops.dtype(total)) / count
        factor = one / count
        if self._limit:
            factor = factor * clip_factor(ops, norm, self._limit)
        scale = ops.astype(factor, ops.dtype(scalars["rate"]))
        scalars = {**scalars, "grad_scale": scale}
        trainable, state = self.optimizer.update(trainable, gradients, state, scalars)
        return trainable, state, {"total": total, "count": sums["count"], "norm": norm}
