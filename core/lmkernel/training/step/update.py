"""From summed gradients to new parameters: the mean, clipping, the optimizer.

Constraint: the division by the count and the clipping are one factor, which the optimizer applies
while it reads the gradients, so that they are read twice in all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.training.step.clipping import clip_factor, global_norm

if TYPE_CHECKING:
    from lmkernel.contract.optional import Ops
    from lmkernel.training.step.optimizers import Optimizer

__all__ = ["Update"]

Arrays = dict[str, Any]


@final
class Update:
    """One optimizer step; pure, to be compiled.

    Args:
        ops: the backend's operations.
        optimizer: how gradients become new parameters.
        limit: largest global norm of the mean gradient, or 0 for no limit (arXiv:1211.5063, §3.2).
    """

    def __init__(self, ops: Ops, optimizer: Optimizer, limit: float) -> None:
        self._ops, self.optimizer, self._limit = ops, optimizer, limit

    def __call__(
        self, trainable: Arrays, state: Any, sums: Arrays, scalars: Arrays
    ) -> tuple[Arrays, Any, Arrays]:
        """(new parameters, new state, what to tell); all but ``scalars`` is consumed.

        Told are ``"total"`` and ``"count"`` of the loss and the ``"norm"`` of its mean's gradient.
        """
        ops, total = self._ops, sums["total"]
        one = ops.full((), 1.0, ops.dtype(total))
        count = ops.maximum(sums["count"], one)
        norm = ops.astype(global_norm(ops, sums["gradients"]), ops.dtype(total)) / count
        factor = one / count
        if self._limit:
            factor = factor * clip_factor(ops, norm, self._limit)
        scale = ops.astype(factor, ops.dtype(scalars["rate"]))
        trainable, state = self.optimizer.update(
            trainable, sums["gradients"], state, {**scalars, "grad_scale": scale}
        )
        return trainable, state, {"total": total, "count": sums["count"], "norm": norm}
