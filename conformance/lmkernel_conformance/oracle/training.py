"""Training runs, from their definitions: forward, mean loss, gradient, Adam, and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle import loss as losses
from lmkernel_conformance.oracle.model import forward
from lmkernel_conformance.oracle.tape import gradient, raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["adam", "mean_loss", "run"]

Host = Any
Values = dict[str, Any]


def mean_loss(ar: Arithmetic, config: Any, kind: str, p: Mapping[str, Host], batch: Any) -> Host:
    """Of one batch: squares over all elements, or -log p over the targets that are not ignored."""
    targets = batch["targets"]
    options = {n: x for n, x in batch.items() if n not in ("inputs", "targets")}
    inputs = batch["inputs"]
    inputs = ar.constant(inputs) if inputs.dtype.kind == "f" else inputs
    y = forward(ar, config, p, inputs, **options)
    if kind == "mse":
        return losses.mse(ar, y, ar.constant(targets))
    y = ar.reshape(y, (-1, raw(y).shape[-1]))
    each = losses.cross_entropy(ar, y, targets.reshape(-1))
    return ar.sum(each, -1) / ar.full((), float((targets >= 0).sum()))


def run(
    ar: Arithmetic,
    config: Any,
    kind: str,
    start: Mapping[str, Host],
    batches: Iterable[Any],
    update: Callable[[Arithmetic, int, Values, Values], Values],
) -> tuple[list[Host], Values]:
    """(the loss before each step, the parameters after the last).

    Args:
        ar: the arithmetic.
        config: of the model.
        kind: of the loss.
        start: parameters by dotted name.
        batches: one for each step.
        update: ``(arithmetic, step from 1, parameters, gradients) -> parameters``.
    """
    p = {name: ar.constant(x) for name, x in start.items()}
    curve = []
    for step, batch in enumerate(batches, 1):
        seen: list[Host] = []

        def f(x: Values, batch: Any = batch, seen: list[Host] = seen) -> list[Host]:
            seen.append(mean_loss(ar, config, kind, x, batch))
            return seen

        g = gradient(ar, f, p, [ar.full((), 1.0)])
        curve.append(raw(seen[0]))
        p = update(ar, step, p, g)
    return curve, p


def adam(
    rate: float, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
) -> Callable[[Arithmetic, int, Values, Values], Values]:
    """Algorithm 1 of arXiv:1412.6980, with a memory of its own."""
    first: Values = {}
    second: Values = {}

    def update(ar: Arithmetic, step: int, p: Values, g: Values) -> Values:
        new = {}
        for name, x in p.items():
            one = x.dtype.type
            first[name] = one(beta1) * first.get(name, np.zeros_like(x)) + one(1 - beta1) * g[name]
            second[name] = (
                one(beta2) * second.get(name, np.zeros_like(x)) + one(1 - beta2) * g[name] * g[name]
            )
            m = first[name] / one(1 - beta1**step)
            v = second[name] / one(1 - beta2**step)
            new[name] = x - one(rate) * m / (ar.sqrt(v) + one(eps))
        return new

    return update
