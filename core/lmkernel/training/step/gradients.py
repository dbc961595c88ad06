"""What a trainer computes of a batch: outputs, totals, gradients; pure, to be compiled.

Constraint: everything is a total with its count, never a mean, so that micro-batches of unequal
size add up rightly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.contract.trees import tree_map

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.interfaces import Loss
    from lmkernel.model import Model
    from lmkernel.training.step.trainable import Parts

__all__ = ["Gradients"]

Arrays = dict[str, Any]


@final
class Gradients:
    """The functions of one model and one loss.

    Args:
        model: what is called.
        parts: how its parameters are made of what is trained and what is not.
        loss: of training.
        evaluation_loss: the same without smoothing.
    """

    def __init__(self, model: Model, parts: Parts, loss: Loss, evaluation_loss: Loss) -> None:
        self._model, self._parts = model, parts
        self._loss, self._evaluation_loss = loss, evaluation_loss

    def outputs(self, trainable: Arrays, frozen: Arrays, batch: Arrays) -> Array:
        """What the model gives, without dropout."""
        return self._outputs(self._parts.join(trainable, frozen), batch)

    def first(self, trainable: Arrays, frozen: Arrays, batch: Arrays, key: Array) -> Arrays:
        """``{"total", "count", "gradients"}`` of one batch, with dropout by ``key (2,)``."""

        def total(trainable: Arrays, frozen: Arrays, batch: Arrays, key: Array) -> Tree:
            params = self._parts.join(trainable, frozen)
            return self._loss(self._outputs(params, batch, key), batch["targets"])

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
        if ops.dtype(targets) == "int32":  # classes, not values
            result["predicted"] = ops.argmax(outputs, -1)
        return result

    def _outputs(self, params: Tree, batch: Mapping[str, Array], key: Array | None = None) -> Array:
        named = {name: x for name, x in batch.items() if name not in ("inputs", "targets")}
        return self._model.forward(params, batch["inputs"], key=key, **named)
