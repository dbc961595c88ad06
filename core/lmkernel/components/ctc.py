"""The loss of texts that are said step by step, at no given times (CTC).

Source: Graves, Fernández, Gomez & Schmidhuber 2006, "Connectionist temporal classification", §4.1:
the forward variables, as logarithms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from lmkernel.components.configured import Configured
from lmkernel.components.primitives import NEVER
from lmkernel.composed.precision import accumulated, constant
from lmkernel.interfaces import Loss, LossConfig, ParamTree

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["CtcLoss", "ctc_losses"]

_IMPOSSIBLE = -NEVER / 4
"""What no text costs that can be said: scores would have to lie as far from each other."""


@final
class CtcLoss(Configured[LossConfig], Loss):
    """-log of the probability of each row's labels, at whatever times; counted by labels.

    A row without labels is ignored. One that has too few steps for its labels costs infinitely
    much, and has no gradient; with ``zero_infinity`` it costs nothing, and its labels do not count.
    """

    per_target = False

    def declare(self) -> ParamTree:
        return {}

    def __call__(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        ops, c = self._ops, self._config
        losses = ctc_losses(ops, outputs, targets, c.blank)
        real = ops.astype(targets >= ops.full((), 0, "int32"), ops.dtype(losses))
        counts, zero = ops.sum(real, 1), constant(ops, 0.0, losses)
        losses = ops.where(counts > zero, losses, zero)
        possible = losses < constant(ops, _IMPOSSIBLE, losses)
        instead = zero if c.zero_infinity else constant(ops, float("inf"), losses)
        if c.zero_infinity:
            counts = ops.where(possible, counts, zero)
        return ops.sum(ops.where(possible, losses, instead), 0), ops.sum(counts, 0)


@accumulated
def ctc_losses(ops: Ops, logits: Array, targets: Array, blank: int) -> Array:
    """What each row's labels cost, ``(batch,)``; `_IMPOSSIBLE` or more where they do not fit.

    Args:
        ops: the backend's operations.
        logits: ``(batch, steps, classes)``; a step that is none says blank, for certain.
        targets: int32 ``(batch, labels)``, of which there is one at least; those behind a row's
            last one are negative.
        blank: the class that says nothing.
    """
    dtype = ops.dtype(logits)
    says = _says(ops, targets, blank)
    skips = _skips(ops, says, blank, logits)
    batch, size = says.shape
    # a product with one-hot vectors picks scores, of which none may be infinite for that
    logs = ops.maximum(ops.log_softmax(logits, -1), constant(ops, NEVER, logits))
    hot = ops.one_hot(says, logits.shape[-1], dtype)
    scores = ops.matmul(logs, ops.permute_dims(hot, (0, 2, 1)))
    never = ops.full((batch, 1), NEVER, dtype)

    def step(before: Array, x: Array) -> tuple[Array, Array]:
        by_one = ops.concat([never, before[:, :-1]], 1)
        by_two = ops.concat([never, by_one[:, :-1]], 1) + skips
        after = _log_sum(ops, before, by_one, by_two) + x
        return after, after[:, :1]

    # every path begins with the first blank or goes on from it
    start = ops.concat([ops.full((batch, 1), 0.0, dtype), *[never] * (size - 1)], 1)
    last, _ = ops.scan(step, start, ops.permute_dims(scores, (1, 0, 2)))
    ends = ops.where(_ends(ops, targets, size), last, constant(ops, NEVER, last))
    largest = ops.stop_gradient(ops.max(ends, 1, keepdims=True))
    return -(ops.log(ops.sum(ops.exp(ends - largest), 1)) + largest[:, 0])


def _says(ops: Ops, targets: Array, blank: int) -> Array:
    """What a path says in turn: blank, label, blank, …, blank; int32 ``(batch, 2·labels + 1)``."""
    batch, count = targets.shape
    silence = ops.full((batch, count, 1), blank, "int32")
    labels = ops.where(targets < ops.full((), 0, "int32"), silence[:, :, 0], targets)
    pairs = ops.concat([silence, ops.reshape(labels, (batch, count, 1))], 2)
    return ops.concat([ops.reshape(pairs, (batch, 2 * count)), silence[:, :1, 0]], 1)


def _skips(ops: Ops, says: Array, blank: int, like: Array) -> Array:
    """What it costs to leave out a blank: nothing before a label that another one precedes."""
    batch, size = says.shape
    silence = ops.full((batch, 2), blank, "int32")
    before = ops.concat([silence, says[:, : size - 2]], 1)
    label = says != ops.full((), blank, "int32")
    return ops.where(label & (says != before), constant(ops, 0.0, like), constant(ops, NEVER, like))


def _ends(ops: Ops, targets: Array, size: int) -> Array:
    """Where a path may end: in a row's last label or the blank behind it; ``(batch, size)``."""
    real = ops.astype(targets >= ops.full((), 0, "int32"), "int32")
    last = ops.reshape(ops.sum(real, 1), (-1, 1)) * ops.full((), 2, "int32")
    place = ops.reshape(ops.arange(0, size, "int32"), (1, size))
    return (place == last) | (place == last - ops.full((), 1, "int32"))


def _log_sum(ops: Ops, x: Array, y: Array, z: Array) -> Array:
    """The logarithm of the sum of what three are logarithms of."""
    largest = ops.stop_gradient(ops.maximum(x, ops.maximum(y, z)))
    return ops.log(ops.exp(x - largest) + ops.exp(y - largest) + ops.exp(z - largest)) + largest
