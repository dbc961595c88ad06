"""Training runs, from their definitions: forward, mean loss, gradient, Adam, and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from lmkernel_conformance.oracle import loss as losses
from lmkernel_conformance.oracle.model import forward
from lmkernel_conformance.oracle.optimizers import adam_step, norm
from lmkernel_conformance.oracle.tape import gradient, raw

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["adam", "mean_loss", "run", "sgd"]

Host = Any
Values = dict[str, Any]


class Update(Protocol):
    """How gradients become new parameters."""

    def __call__(self, ar: Arithmetic, step: int, p: Values, g: Values) -> Values:
        """The parameters after ``step``, which counts from 1."""
        ...


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
    update: Update,
) -> tuple[list[Host], Values]:
    """(the loss before each step, the parameters after the last).

    Args:
        ar: the arithmetic.
        config: of the model.
        kind: of the loss.
        start: parameters by dotted name.
        batches: one for each step.
        update: how gradients become new parameters.
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


def adam(rate: float, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Update:
    """Algorithm 1 of arXiv:1412.6980 for all parameters, with a memory of its own."""
    kept: dict[str, tuple[Host, Host]] = {}

    def update(ar: Arithmetic, step: int, p: Values, g: Values) -> Values:
        new = {}
        for name, x in p.items():
            m, v = kept.get(name, (ar.full(x.shape, 0.0), ar.full(x.shape, 0.0)))
            new[name], m, v = adam_step(
                ar, x, g[name], m, v,
                step=step, rate=rate, beta1=beta1, beta2=beta2, eps=eps, decay=0.0,
            )  # fmt: skip
            kept[name] = (m, v)
        return new

    return update


def sgd(rate: float, *, clip: float = 0.0) -> Update:
    """P - rate·g, with g brought down to a global norm of ``clip`` where it is larger."""

    def update(ar: Arithmetic, step: int, p: Values, g: Values) -> Values:
        del step
        size = norm(ar, [g[name] for name in sorted(g)])
        scale = ar.full((), min(1.0, clip / float(size)) if clip else 1.0)
        return {name: x - ar.full((), rate) * (scale * g[name]) for name, x in p.items()}

    return update
