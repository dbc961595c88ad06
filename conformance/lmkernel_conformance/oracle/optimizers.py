"""Optimizers from their definitions, one parameter at a time, and the learning-rate schedules.

Each optimizer takes the parameter, and for each step a gradient and a learning rate; it returns the
parameter after the last step and the optimizer's state of it, by name.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["adafactor", "adam_step", "adamw", "lion", "muon", "norm", "rate", "sgd"]

Host = Any
Result = tuple[Any, dict[str, Any]]


def norm(ar: Arithmetic, arrays: Sequence[Host]) -> Host:
    """The Euclidean norm of all elements of all arrays together."""
    every = ar.concat([ar.reshape(x, (-1,)) for x in arrays], 0)
    return ar.sqrt(ar.sum(every * every, 0))


def sgd(
    ar: Arithmetic,
    p: Host,
    grads: Sequence[Host],
    rates: Sequence[float],
    *,
    momentum: float,
    nesterov: bool,
    decay: float,
) -> Result:
    """SGD with momentum (Sutskever et al. 2013); decay as in arXiv:1711.05101, alg. 1."""
    velocity = ar.full(p.shape, 0.0)
    for g, step in zip(grads, rates, strict=True):
        velocity = momentum * velocity + g
        p = (1 - step * decay) * p - step * (g + momentum * velocity if nesterov else velocity)
    return p, {"momentum": velocity} if momentum else {}


def adam_step(
    ar: Arithmetic,
    p: Host,
    g: Host,
    m: Host,
    v: Host,
    *,
    step: int,
    rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    decay: float,
) -> tuple[Host, Host, Host]:
    """One step of Adam (arXiv:1412.6980, alg. 1); decay as in arXiv:1711.05101, alg. 2.

    Args:
        ar: the arithmetic.
        p: the parameter.
        g: its gradient.
        m: the first moment before the step.
        v: the second moment before the step.
        step: the number of the step, from 1.
        rate: the learning rate.
        beta1: the decay of the first moment.
        beta2: the decay of the second moment.
        eps: what is added to the root of the second moment.
        decay: the weight decay, decoupled from the gradient.

    Returns:
        The parameter and both moments after the step.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
    return (1 - rate * decay) * p - rate * m_hat / (ar.sqrt(v_hat) + eps), m, v


def adamw(
    ar: Arithmetic, p: Host, grads: Sequence[Host], rates: Sequence[float], **settings: float
) -> Result:
    """Several steps of `adam_step`, from moments of zero."""
    m = v = ar.full(p.shape, 0.0)
    for i, (g, step) in enumerate(zip(grads, rates, strict=True), 1):
        p, m, v = adam_step(ar, p, g, m, v, step=i, rate=step, **settings)
    return p, {"m": m, "v": v}


def lion(
    ar: Arithmetic,
    p: Host,
    grads: Sequence[Host],
    rates: Sequence[float],
    *,
    beta1: float,
    beta2: float,
    decay: float,
) -> Result:
    """Lion (arXiv:2302.06675, alg. 2)."""
    m = ar.full(p.shape, 0.0)
    for g, step in zip(grads, rates, strict=True):
        update = np.sign(beta1 * m + (1 - beta1) * g)
        p = p - step * (update + decay * p)
        m = beta2 * m + (1 - beta2) * g
    return p, {"m": m}


def _rms(ar: Arithmetic, x: Host) -> Host:
    """The root mean square of all elements."""
    return ar.sqrt(ar.mean(ar.reshape(x * x, (-1,)), 0))


def adafactor(
    ar: Arithmetic,
    p: Host,
    grads: Sequence[Host],
    rates: Sequence[float],
    *,
    eps: float,
    decay: float,
    beta2_decay: float = -0.8,
    eps2: float = 1e-3,
    d: float = 1.0,
) -> Result:
    """Adafactor (arXiv:1804.04235, alg. 4 and 5), with the bounds of torch's implementation.

    The paper sums the squares of rows and columns; torch, and this, take means, which changes the
    factors by a constant that cancels in their product.
    """
    matrix = p.ndim > 1
    # A matrix keeps the means of its squares by row and by column, whose outer product stands for
    # the second moment; a vector keeps the second moment itself.
    axes = {"row": -1, "column": -2} if matrix else {}
    kept: dict[str, Host] = dict.fromkeys(axes or ["v"], 0.0)
    for t, (g, step) in enumerate(zip(grads, rates, strict=True), 1):
        beta2, square = 1 - t**beta2_decay, g * g
        new = {slot: ar.mean(square, axis, keepdims=True) for slot, axis in axes.items()}
        new = new if matrix else {"v": square}
        kept = {slot: beta2 * kept[slot] + (1 - beta2) * new[slot] for slot in kept}
        v = kept["v"] if not matrix else _product(ar, kept["row"], kept["column"], eps)
        u = g / np.maximum(ar.sqrt(v), eps)
        u = u / np.maximum(1, _rms(ar, u) / d)
        size = np.maximum(eps2, _rms(ar, p)) * min(step, 1 / math.sqrt(t))
        p = (1 - step * decay) * p - size * u
    return p, kept


def _product(ar: Arithmetic, row: Host, column: Host, eps: float) -> Host:
    """The second moment that row and column means stand for (alg. 4)."""
    return ar.matmul(row, column) / np.maximum(ar.mean(row, -2, keepdims=True), eps)


def muon(
    ar: Arithmetic,
    p: Host,
    grads: Sequence[Host],
    rates: Sequence[float],
    *,
    momentum: float,
    nesterov: bool,
    decay: float,
    original: bool,
) -> Result:
    """Muon (Jordan et al. 2024; arXiv:2502.16982, alg. 1); momentum is a mean, as in torch."""
    n, k = p.shape
    size = math.sqrt(max(1, n / k)) if original else 0.2 * math.sqrt(max(n, k))
    m = ar.full(p.shape, 0.0)
    for g, step in zip(grads, rates, strict=True):
        m = momentum * m + (1 - momentum) * g
        u = momentum * m + (1 - momentum) * g if nesterov else m
        p = (1 - step * decay) * p - step * size * _newton_schulz(ar, u)
    return p, {"momentum": m}


def _newton_schulz(ar: Arithmetic, x: Host) -> Host:
    """Five rounds of 3.4445·x - 4.7750·(xxᵀ)x + 2.0315·(xxᵀ)²x, from x of Euclidean norm 1."""
    # The iteration drives singular values towards 1, and converges from any in (0, 1]. A Euclidean
    # norm of 1 bounds them all by 1, without computing them.
    x = x / np.maximum(norm(ar, [x]), 1e-7)
    for _ in range(5):
        gram = ar.matmul(x, ar.transpose(x, (1, 0)))
        once = ar.matmul(gram, x)
        x = 3.4445 * x - 4.7750 * once + 2.0315 * ar.matmul(gram, once)
    return x


def rate(ar: Arithmetic, kind: str, steps: int, warmup: int, floor: float, cooldown: int) -> Host:
    """The factor of the learning rate at each of ``steps`` steps.

    Args:
        ar: the arithmetic.
        kind: ``"constant"``, ``"linear"``, ``"cosine"`` or ``"wsd"`` (warm-up, stable, decay).
        steps: the number of steps.
        warmup: the number of steps over which the factor rises from 0 to 1.
        floor: the factor at the last step.
        cooldown: the number of steps over which ``"wsd"`` decays.
    """
    every = ar.constant(np.arange(1, steps + 1))
    rise = np.minimum(every / max(warmup, 1), 1)
    if kind == "constant" or (kind == "wsd" and not cooldown):
        return rise
    peak = steps - cooldown if kind == "wsd" else max(warmup, 1)
    left = np.clip((steps - every) / (steps - peak), 0, 1)
    if kind == "cosine":
        # The usual form cancels towards the end, where the reference must not.
        usual = (1 + ar.cos(math.pi * (1 - left))) / 2
        left = usual if ar.other_formula else ar.sin(left * math.pi / 2) ** 2
    return np.minimum(rise, floor + (1 - floor) * left)
