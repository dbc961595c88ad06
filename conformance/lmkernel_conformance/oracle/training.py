"""Training runs from their definitions: forward pass, mean loss, gradient, update, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lmkernel_conformance.oracle import loss as losses
from lmkernel_conformance.oracle.activation import softmax
from lmkernel_conformance.oracle.model import forward
from lmkernel_conformance.oracle.optimizers import adam_step, norm
from lmkernel_conformance.oracle.tape import gradient, raw

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["adam", "mean_loss", "run", "sgd"]

Host = Any
Values = dict[str, Any]


class Update(Protocol):
    """The update of an optimizer: new parameters from gradients."""

    def __call__(self, ar: Arithmetic, step: int, p: Values, g: Values) -> Values:
        """The parameters after step number ``step``, counted from 1."""
        ...


def mean_loss(ar: Arithmetic, config: Any, kind: str, p: Mapping[str, Host], batch: Any) -> Host:
    """The loss of one batch: mean squared error, or cross-entropy averaged over real targets.

    A model whose configuration weighs the balance of its experts has that besides.

    Args:
        ar: the arithmetic.
        config: the configuration of the model.
        kind: ``"mse"`` or ``"cross_entropy"``.
        p: parameters by dotted name.
        batch: arrays by name: ``inputs``, ``targets`` (negative ones are ignored), and options of
            `lmkernel_conformance.oracle.model.forward`.
    """
    targets = batch["targets"]
    options = {n: x for n, x in batch.items() if n not in ("inputs", "targets")}
    inputs = batch["inputs"]
    inputs = ar.constant(inputs) if inputs.dtype.kind == "f" else inputs
    routed: list[Host] = []
    y = forward(ar, config, p, inputs, **options, routed=routed)
    if kind == "mse":
        return losses.mse(ar, y, ar.constant(targets))
    y = ar.reshape(y, (-1, raw(y).shape[-1]))
    each = losses.cross_entropy(ar, y, targets.reshape(-1))
    mean = ar.sum(each, -1) / ar.full((), float((targets >= 0).sum()))
    mlp = getattr(config.decoder, "mlp", None)
    if mlp is None or mlp.experts is None or not mlp.experts.balance:
        return mean
    uneven = _balance(ar, routed, batch["positions"], mlp.experts.chosen)
    return mean + uneven * mlp.experts.balance


def _balance(ar: Arithmetic, routed: Sequence[Host], positions: Host, chosen: int) -> Host:
    """E · Σ f·P over the experts, of all layers together (arXiv:2101.03961, eq. 4 to 6).

    Args:
        ar: the arithmetic.
        routed: the logits of each layer's router, ``(batch * time, experts)``.
        positions: positions, ``(batch, time)``; -1 is padding, which does not count.
        chosen: number of experts that each position uses.
    """
    real, experts = positions.reshape(-1) >= 0, raw(routed[0]).shape[-1]
    count = float(real.sum() * len(routed))
    uses, likely = np.zeros(experts), ar.full((experts,), 0.0)
    for logits in routed:
        scores = softmax(ar, logits)
        best = np.argsort(-np.asarray(raw(scores)), -1)[:, :chosen]
        for row in best[real]:
            uses[row] += 1
        likely = likely + ar.sum(ar.where(real[:, None], scores, 0.0), 0)
    return ar.sum(likely / count * ar.constant(uses / count), 0) * float(experts)


def run(
    ar: Arithmetic,
    config: Any,
    kind: str,
    start: Mapping[str, Host],
    batches: Iterable[Any],
    update: Update,
) -> tuple[list[Host], Values]:
    """Train a model: (the loss before each step, the parameters after the last).

    Args:
        ar: the arithmetic.
        config: the configuration of the model.
        kind: the kind of the loss.
        start: the first parameters, by dotted name.
        batches: the batches, one for each step.
        update: the update of the optimizer.
    """
    p = {name: ar.constant(x) for name, x in start.items()}
    curve = []
    for step, batch in enumerate(batches, 1):
        seen: list[Host] = []

        def f(x: Values, batch: Any = batch, seen: list[Host] = seen) -> list[Host]:
            # The gradient evaluates the loss anyway; keeping it saves a second forward pass.
            seen.append(mean_loss(ar, config, kind, x, batch))
            return seen

        g = gradient(ar, f, p, [ar.full((), 1.0)])
        curve.append(raw(seen[0]))
        p = update(ar, step, p, g)
    return curve, p


def adam(rate: float, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Update:
    """Adam for all parameters (arXiv:1412.6980, alg. 1); the update keeps their moments.

    Args:
        rate: the learning rate.
        beta1: the decay of the first moment.
        beta2: the decay of the second moment.
        eps: what is added to the root of the second moment.
    """
    moments: dict[str, tuple[Host, Host]] = {}

    def update(ar: Arithmetic, step: int, p: Values, g: Values) -> Values:
        new = {}
        for name, x in p.items():
            m, v = moments.get(name, (ar.full(x.shape, 0.0), ar.full(x.shape, 0.0)))
            new[name], m, v = adam_step(
                ar, x, g[name], m, v,
                step=step, rate=rate, beta1=beta1, beta2=beta2, eps=eps, decay=0.0,
            )  # fmt: skip
            moments[name] = (m, v)
        return new

    return update


def sgd(rate: float, *, clip: float = 0.0) -> Update:
    """SGD without momentum, with gradients clipped to a global norm.

    Args:
        rate: the learning rate.
        clip: the largest global norm; 0 leaves gradients as they are.
    """

    def update(ar: Arithmetic, step: int, p: Values, g: Values) -> Values:
        del step
        size = norm(ar, [g[name] for name in sorted(g)])
        scale = ar.full((), min(1.0, clip / float(size)) if clip else 1.0)
        return {name: x - ar.full((), rate) * (scale * g[name]) for name, x in p.items()}

    return update
