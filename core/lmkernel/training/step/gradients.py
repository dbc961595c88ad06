"""What a trainer computes: outputs, totals, gradients, and the update; pure, to be compiled.

Constraint: everything is a total with its count, never a mean, so that micro-batches of unequal
size add up rightly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.composed.precision import constant
from lmkernel.contract.trees import tree_map

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Loss
    from lmkernel.model import Model
    from lmkernel.training.step.layout import Layout
    from lmkernel.training.step.optimizers import Optimizer
    from lmkernel.training.step.trainable import Parts

__all__ = ["Gradients", "Update", "clip_factor"]

Arrays = dict[str, Any]


@final
class Gradients:
    """The functions of one model and one loss.

    Args:
        model: what is called.
        parts: how its parameters are made of what is trained and what is not.
        loss: of training.
        evaluation_loss: the same without smoothing.
        layout: how arrays lie over processes.
    """

    def __init__(
        self, model: Model, parts: Parts, loss: Loss, evaluation_loss: Loss, layout: Layout
    ) -> None:
        self._model, self._parts, self._layout = model, parts, layout
        self._loss, self._evaluation_loss = loss, evaluation_loss

    def outputs(self, trainable: Arrays, frozen: Arrays, batch: Arrays) -> Array:
        """What the model gives, without dropout."""
        params = self._join(trainable, frozen)
        return self._model.forward(params, **_given(batch))

    def first(self, trainable: Arrays, frozen: Arrays, batch: Arrays, key: Array) -> Arrays:
        """``{"total", "count", "gradients"}`` of one batch, with dropout by ``key (2,)``."""

        def total(trainable: Arrays, frozen: Arrays, batch: Arrays, key: Array) -> Tree:
            return self._total(self._join(trainable, frozen), batch, key)

        # with regard to the first argument alone: what is frozen gets no gradient
        differentiate = self._model.backend.ops.value_and_grad(total, aux=True)
        (value, count), gradients = differentiate(trainable, frozen, batch, key)
        return {"total": value, "count": count, "gradients": gradients}

    def add(
        self, sums: Arrays, trainable: Arrays, frozen: Arrays, batch: Arrays, key: Array
    ) -> Arrays:
        """``sums`` (consumed) and one more batch."""
        more = self.first(trainable, frozen, batch, key)
        return tree_map(lambda x, y: x + y, sums, more)  # type: ignore[no-any-return]  # a mapping stays one

    def evaluate(self, trainable: Arrays, frozen: Arrays, batch: Arrays) -> Arrays:
        """``{"total", "count"}`` without dropout and smoothing, and ``"predicted"`` classes."""
        ops = self._model.backend.ops
        outputs, targets = self.outputs(trainable, frozen, batch), batch["targets"]
        total, count = self._evaluation_loss(outputs, targets)
        result = {"total": total, "count": count}
        if self._evaluation_loss.per_target and ops.dtype(targets) == "int32":  # not values
            result["predicted"] = ops.argmax(outputs, -1)
        return self._layout.total(result)

    def _total(self, params: Tree, batch: Arrays, key: Array) -> tuple[Array, Array]:
        """The loss of training as its total and count, with what balances experts."""
        outputs, balance = self._model.forward_with_balance(params, key=key, **_given(batch))
        total, count = self._loss(outputs, batch["targets"])
        if balance is None:
            return total, count
        ops = self._model.backend.ops
        # it is added to a mean, and totals become means by their counts
        return total + ops.astype(balance, ops.dtype(total)) * count, count

    def _join(self, trainable: Arrays, frozen: Arrays) -> Tree:
        used = self._layout.used
        return self._parts.join(used(trainable), used(frozen))


def _given(batch: Mapping[str, Array]) -> dict[str, Array]:
    """What a model reads of a batch, by the names of its arguments."""
    return {name: x for name, x in batch.items() if name != "targets"}


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
        layout: how arrays lie over processes.
    """

    def __init__(self, ops: Ops, optimizer: Optimizer, limit: float, layout: Layout) -> None:
        self._ops, self.optimizer, self._limit = ops, optimizer, limit
        self._layout = layout

    def __call__(
        self, trainable: Arrays, state: Any, sums: Arrays, scalars: Arrays
    ) -> tuple[Arrays, Any, Arrays]:
        """(new parameters, new state, figures); all but ``scalars`` is consumed.

        The figures are ``"total"`` and ``"count"`` of the loss, and ``"norm"``, that of the
        gradient of the mean loss.
        """
        sums = self._layout.total(sums)
        ops, total, gradients = self._ops, sums["total"], sums["gradients"]
        one = ops.full((), 1.0, ops.dtype(total))
        # only now is it known over how many targets the mean is; a batch may have none
        count = ops.maximum(sums["count"], one)
        # the norm is linear, so that of the sums divided is that of the mean
        norm = ops.astype(self._layout.norm(gradients), ops.dtype(total)) / count
        factor = one / count
        if self._limit:
            factor = factor * clip_factor(ops, norm, self._limit)
        scale = ops.astype(factor, ops.dtype(scalars["rate"]))
        scalars = {**scalars, "grad_scale": scale}
        trainable, state = self.optimizer.update(trainable, gradients, state, scalars)
        return trainable, state, {"total": total, "count": sums["count"], "norm": norm}
