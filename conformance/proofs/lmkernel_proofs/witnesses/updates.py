"""Witnesses of optimizers and schedules: closed sums over the steps.

After t steps an exponential mean is Σ wᵢ·gᵢ, and the weights are written out here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle import optimizers as oracle
from lmkernel_proofs.witnesses.point import Point, grid
from lmkernel_proofs.witnesses.precise import MP, absolute, sqrt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["LEARNING_RATES", "POINTS", "adamw", "length"]

Host = Any

LEARNING_RATES = (0.0625, 0.03125, 0.125, 0.015625)
_FAST = (0.75, 0.9375, 0.5, 0.625)
"""Learning rates some of which are above Adafactor's bound of 1 / √t."""


def _mean(xs: Sequence[Host], betas: Sequence[Any]) -> Host:
    """Σ (1 - βᵢ)·xᵢ·Π βⱼ, the product over all j after i."""
    weights = [(1 - beta) * MP.fprod(betas[i + 1 :]) for i, beta in enumerate(betas)]
    return sum(w * x for w, x in zip(weights, xs, strict=True))


def _grads(t: dict[str, Host]) -> list[Host]:
    return [t[f"g{i}"] for i in range(len(LEARNING_RATES))]


def length(arrays: Sequence[Host]) -> Any:
    """m·√Σ(x/m)², with m the largest magnitude."""
    every = absolute(np.concatenate([x.ravel() for x in arrays]))
    top = max(every)
    return top * MP.sqrt(MP.fsum((x / top) ** 2 for x in every))


def _sgd(p: Host, gs: Sequence[Host], *, momentum: float, nesterov: bool, decay: float) -> Any:
    """Add up what each gradient has moved the parameters by in the end."""
    mu, d, velocity = MP.mpf(momentum), MP.mpf(decay), 0
    rates = [MP.mpf(r) for r in LEARNING_RATES]
    shrunk = [MP.fprod(1 - r * d for r in rates[i:]) for i in range(len(rates) + 1)]
    end = shrunk[0] * p
    for i, g in enumerate(gs):
        for j in range(i, len(gs)):
            share = mu ** (j - i) if not nesterov else mu ** (j - i + 1) + (j == i)
            end = end - rates[j] * shrunk[j + 1] * share * g
        velocity = velocity + mu ** (len(gs) - 1 - i) * g
    return [end, velocity] if momentum else [end]


def adamw(p: Host, gs: Sequence[Host], rates: Sequence[Any], **c: Any) -> Any:
    """AdamW with its moments in closed form at every step."""
    b1, b2, eps, decay = (MP.mpf(c[name]) for name in ("beta1", "beta2", "eps", "decay"))
    m = v = 0
    for t in range(1, len(gs) + 1):
        m = _mean(gs[:t], [b1] * t)
        v = _mean([g**2 for g in gs[:t]], [b2] * t)
        rate = MP.mpf(rates[t - 1])
        corrected = m / (1 - b1**t) / (sqrt(v / (1 - b2**t)) + eps)
        p = p - rate * (decay * p + corrected)
    return [p, m, v]


def _step(t: dict[str, Host]) -> list[Host]:
    """The third step of AdamW from given moments."""
    b1, b2 = MP.mpf(0.875), MP.mpf(0.96875)
    m = t["m"] + (1 - b1) * (t["g"] - t["m"])
    v = t["v"] - (1 - b2) * (t["v"] - t["g"] ** 2)
    down = (sqrt(v) / MP.sqrt(1 - b2**3) + MP.mpf(_EPS)) * (1 - b1**3)
    rate = MP.mpf(0.0625)
    return [t["p"] - rate * MP.mpf(0.25) * t["p"] - rate * m / down, m, v]


def _lion(p: Host, gs: Sequence[Host], *, beta1: float, beta2: float, decay: float) -> Any:
    b1, b2, m = MP.mpf(beta1), MP.mpf(beta2), 0 * p
    for t, (g, rate) in enumerate(zip(gs, LEARNING_RATES, strict=True), 1):
        blend = g + b1 * (m - g)
        p = p - MP.mpf(rate) * (blend / absolute(blend) + MP.mpf(decay) * p)
        m = _mean(gs[:t], [b2] * t)
    return [p, m]


def _adafactor(
    p: Host,
    gs: Sequence[Host],
    *,
    eps: float,
    decay: float,
    d: float = 1.0,
    rates: Any = LEARNING_RATES,
) -> Any:
    """Adafactor in the paper's form: the factored square is R·C / Σ R."""
    n, k, kept = p.size, p.shape[-1], []
    for t in range(1, len(gs) + 1):
        betas = [1 - MP.mpf(i) ** MP.mpf(-0.8) for i in range(1, t + 1)]
        square = _mean([g * g for g in gs[:t]], betas)
        v, kept = square, [square]
        if p.ndim > 1:
            rows, columns = square.sum(-1, keepdims=True), square.sum(-2, keepdims=True)
            v, kept = rows * columns / rows.sum(), [rows / k, columns / p.shape[0]]
        u = gs[t - 1] / np.maximum(sqrt(v), MP.mpf(eps))
        u = u / max(MP.mpf(1), length([u]) / MP.sqrt(n) / MP.mpf(d))
        rate, size = MP.mpf(rates[t - 1]), max(MP.mpf(1e-3), length([p]) / MP.sqrt(n))
        p = p * (1 - rate * MP.mpf(decay)) - size * min(rate, 1 / MP.sqrt(t)) * u
    return [p, *kept]


def _muon(
    p: Host,
    gs: Sequence[Host],
    *,
    momentum: float,
    nesterov: bool,
    decay: float,
    original: bool,
) -> Any:
    """Muon by singular values: its polynomial acts on each of them alone."""
    b, (n, k), m = MP.mpf(momentum), p.shape, 0
    size = MP.sqrt(max(1, MP.mpf(n) / k)) if original else MP.sqrt(max(n, k)) / 5
    for t in range(1, len(gs) + 1):
        m = _mean(gs[:t], [b] * t)
        u = gs[t - 1] + b * (m - gs[t - 1]) if nesterov else m
        rate = MP.mpf(LEARNING_RATES[t - 1])
        p = (1 - rate * MP.mpf(decay)) * p - rate * size * _newton_schulz(u)
    return [p, m]


def _newton_schulz(x: Host) -> Host:
    """Five rounds of the odd polynomial on the singular values, which is what they do to x."""
    top = max(absolute(x).ravel())  # scaled, since svd_r takes small numbers for zeros
    left, values, right = MP.svd_r(MP.matrix((x / top).tolist()))
    values = [s * top for s in values]
    whole = max(MP.sqrt(MP.fsum(s * s for s in values)), MP.mpf(1e-7))
    a, b, c = MP.mpf("3.4445"), MP.mpf("-4.775"), MP.mpf("2.0315")
    mapped_values = []
    for s in (v / whole for v in values):
        for _ in range(5):
            s = a * s + b * s**3 + c * s**5  # noqa: PLW2901 - a recurrence
        mapped_values.append(s)
    product = left * MP.diag(mapped_values) * right
    return np.array(
        [[product[i, j] for j in range(product.cols)] for i in range(product.rows)], object
    )


def _schedule(kind: str, steps: int, warmup: int, floor: float, cooldown: int) -> Host:
    """The schedule step by step: warm-up, a plateau if there is one, the fall to the floor."""
    low, found = MP.mpf(floor), []
    for step in range(1, steps + 1):
        if step < warmup or kind == "constant" or (kind == "wsd" and not cooldown):
            found.append(min(MP.mpf(step) / warmup, MP.mpf(1)) if warmup else MP.mpf(1))
            continue
        start = steps - cooldown if kind == "wsd" else max(warmup, 1)
        gone = min(max(MP.mpf(step - start) / (steps - start), MP.mpf(0)), MP.mpf(1))
        share = (1 + MP.cos(MP.pi * gone)) / 2 if kind == "cosine" else 1 - gone
        found.append(low + (1 - low) * share)
    return np.array(found, object)


_EPS, _DECAY = 2.0**-20, 0.25
_P = grid("update.p", 2, 3)
_G = {f"g{i}": grid(f"update.g{i}", 2, 3) for i in range(len(LEARNING_RATES))}
_FLAT = {"p": _P[0], **{name: g[1] for name, g in _G.items()}}
_WIDE = {"p": _P, **_G}
_SMALL = {**_WIDE, "p": _P * 2.0**-13}
_TINY = {"p": _P, **{name: g * 2.0**-24 for name, g in _G.items()}}
_TINIER = {"p": _P, **{name: g * 2.0**-29 for name, g in _G.items()}}
_ADAM: Any = {"beta1": 0.875, "beta2": 0.96875, "eps": _EPS, "decay": _DECAY}
_LION: Any = {"beta1": 0.875, "beta2": 0.96875, "decay": _DECAY}
_SCHEDULES = (
    ("constant", 7, 3, 0.0, 0), ("cosine", 11, 3, 0.125, 0), ("cosine", 5, 0, 0.0, 0),
    ("linear", 9, 2, 0.25, 0), ("wsd", 13, 3, 0.0625, 4), ("wsd", 6, 2, 0.5, 0),
)  # fmt: skip


def _point(
    name: str,
    how: str,
    inputs: Any,
    f: Callable[..., Any],
    *,
    rates: tuple[float, ...] = LEARNING_RATES,
    **settings: Any,
) -> Point:
    """A point of several steps: the parameter, then the optimizer's state in the oracle's order."""
    kind = name.partition(".")[0]

    def by_oracle(ar: Any, t: Any) -> list[Host]:
        p, kept = getattr(oracle, kind)(ar, t["p"], _grads(t), rates, **settings)
        return [p, *kept.values()]

    return Point(
        id=f"optimizer.{name}",
        of=(f"optimizers.{kind}",),
        how=how,
        inputs=inputs,
        oracle=by_oracle,
        witness=lambda t: f(t["p"], _grads(t), **settings),
        gradient=False,
        ulps=64 if kind == "muon" else 16,
        why="four steps, one after the other, of Muon with five rounds each",
    )


def _adamw(p: Host, gs: Sequence[Host], **c: Any) -> Any:
    return adamw(p, gs, LEARNING_RATES, **c)


_SUM = "every gradient by its weight in the end"
_MUON = "by singular values, the polynomial five times on each"
_MEANS = "moments as weighted sums at every step"

POINTS: tuple[Point, ...] = (
    Point(
        id="optimizer.norm",
        of=("optimizers.norm",),
        how="m·√Σ(x/m)²",
        inputs={"x": _P, "y": _P[1] * 2.0**-8},
        oracle=lambda ar, t: [oracle.norm(ar, [t["x"], t["y"]])],
        witness=lambda t: [length([t["x"], t["y"]])],
    ),
    _point("sgd.plain", _SUM, _WIDE, _sgd, momentum=0.0, nesterov=False, decay=_DECAY),
    _point("sgd.momentum", _SUM, _WIDE, _sgd, momentum=0.875, nesterov=False, decay=_DECAY),
    _point("sgd.nesterov", _SUM, _WIDE, _sgd, momentum=0.875, nesterov=True, decay=0.0),
    Point(
        id="optimizer.adam_step",
        of=("optimizers.adam_step",),
        how="ε and both corrections brought under one fraction",
        inputs={"p": _P, "g": _G["g0"] * 2.0**-18, "m": _G["g1"] * 2.0**-18,
                "v": np.abs(_G["g2"]) * 2.0**-36},
        oracle=lambda ar, t: list(
            oracle.adam_step(
                ar, t["p"], t["g"], t["m"], t["v"], step=3, rate=0.0625, **_ADAM
            )
        ),
        witness=_step,
        gradient=False,
    ),
    _point("adamw.plain", _MEANS, _WIDE, _adamw, **_ADAM),
    _point("adamw.tiny", _MEANS, _TINY, _adamw, **_ADAM),
    _point("lion", "x / |x| of the blend, the mean as a weighted sum", _WIDE, _lion, **_LION),
    _point("adafactor.matrix", "row and column sums, R·C / Σ R", _WIDE, _adafactor,
           eps=2.0**-30, decay=_DECAY),
    _point("adafactor.small", "row and column sums, R·C / Σ R", _SMALL,
           partial(_adafactor, rates=_FAST), rates=_FAST, eps=2.0**-30, decay=0.0, d=0.75),
    _point("adafactor.vector", "the mean of squares as a weighted sum", _FLAT, _adafactor,
           eps=2.0**-30, decay=_DECAY),
    _point("muon.wide", _MUON, _WIDE, _muon, momentum=0.875, nesterov=True,
           decay=_DECAY, original=False),
    _point("muon.tall", _MUON, {name: x.T for name, x in _WIDE.items()}, _muon,
           momentum=0.75, nesterov=False, decay=_DECAY, original=True),
    _point("muon.tiny", _MUON, _TINIER, _muon, momentum=0.75, nesterov=True,
           decay=0.0, original=True),
    Point(
        id="optimizer.rate",
        of=("optimizers.rate",),
        how="step by step, (1 + cos πx) / 2 for the cosine",
        inputs={},
        oracle=lambda ar, _: [oracle.rate(ar, *c) for c in _SCHEDULES],
        witness=lambda _: [_schedule(*c) for c in _SCHEDULES],
        gradient=False,
    ),
)  # fmt: skip
