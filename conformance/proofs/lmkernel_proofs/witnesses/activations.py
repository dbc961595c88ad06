"""Witnesses of activations, softmax and losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel_conformance.oracle import activation, loss
from lmkernel_proofs.witnesses.point import Point, grid
from lmkernel_proofs.witnesses.precise import MP, absolute, erfc, exp, log, sigmoid, tanh

__all__ = [
    "CTC_LABELS",
    "POINTS",
    "activate",
    "cross_entropy",
    "ctc",
    "mse",
]

Host = Any


def _gaps(x: Host, axis: int) -> Host:
    """exp(xⱼ - xᵢ), with j along a new last axis."""
    x = np.moveaxis(x, axis, -1)
    return exp(x[..., None, :] - x[..., :, None])


def softmax(x: Host, axis: int = -1) -> Host:
    """1 / Σⱼ exp(xⱼ - xᵢ)."""
    return np.moveaxis(1 / _gaps(x, axis).sum(-1), -1, axis)


def log_softmax(x: Host, axis: int = -1) -> Host:
    """-log Σⱼ exp(xⱼ - xᵢ)."""
    return np.moveaxis(-log(_gaps(x, axis).sum(-1)), -1, axis)


def _relu(x: Host) -> Host:
    return (x + absolute(x)) / 2


def _gelu(x: Host) -> Host:
    return x * erfc(-x / MP.sqrt(2)) / 2


def _gelu_tanh(x: Host) -> Host:
    inner = MP.sqrt(2 / MP.pi) * (x + MP.mpf("0.044715") * x**3)
    return x / (1 + exp(-2 * inner))


def _swiglu(x: Host) -> Host:
    gate, value = np.split(x, 2, -1)
    return gate * value * sigmoid(gate)


def activate(x: Host, name: str) -> Host:
    """An activation by its name in a configuration."""
    named: Any = {
        "relu": _relu,
        "silu": lambda v: v / (1 + exp(-v)),
        "gelu": _gelu,
        "gelu_tanh": _gelu_tanh,
        "softmax": softmax,
        "tanh": tanh,
        "sigmoid": sigmoid,
        "none": lambda v: v,
    }
    return named[name](x)


def mse(x: Host, y: Host) -> Host:
    """(Σx² - 2·Σxy + Σy²) / n."""
    x, y = x.ravel(), y.ravel()
    return (MP.fdot(x, x) - 2 * MP.fdot(x, y) + MP.fdot(y, y)) / len(x)


def cross_entropy(x: Host, targets: Host, smoothing: float = 0.0) -> Host:
    """The form log Σ exp x - (1 - s)·x[target] - s·mean(x)."""
    s, found = MP.mpf(smoothing), []
    for row, target in zip(x.reshape(-1, x.shape[-1]), targets.ravel(), strict=True):
        total = MP.log(MP.fsum(exp(row)))
        mean = MP.fsum(row) / len(row)
        found.append(total - (1 - s) * row[target] - s * mean if target >= 0 else MP.mpf(0))
    return np.array(found, object).reshape(targets.shape)


def soft_cross_entropy(x: Host, y: Host) -> Host:
    """Σy · log Σ exp x - Σ xy."""
    return y.sum(-1) * log(exp(x).sum(-1)) - (x * y).sum(-1)


def span_cross_entropy(x: Host, targets: Host) -> Host:
    """The logarithm of Σ exp(xⱼ - x[side]) over the positions where the side may be."""
    found = np.full((len(x), x.shape[2]), MP.mpf(0), object)
    for b, t, side in np.argwhere(targets > 0):
        others = x[b, targets[b, :, side] >= 0, side]
        found[b, side] = MP.log(MP.fsum(exp(others - x[b, t, side])))
    return found


def binary_cross_entropy(x: Host, targets: Host) -> Host:
    """Minus the logarithm of (1 ± tanh(y/2)) / 2; 0 where ignored."""
    right = -log((1 + np.where(targets > 0, 1, -1) * tanh(x / 2)) / 2)
    return np.where(targets >= 0, right, MP.mpf(0))


def ctc(x: Host, labels: tuple[int, ...], blank: int) -> Host:
    """The forward variables of Graves et al. 2006, eq. 6 to 8, as probabilities."""
    says = [blank, *(k for label in labels for k in (label, blank))]
    # the first step comes from a blank before it
    before = [MP.mpf(1), *[MP.mpf(0)] * (len(says) - 1)]
    for shares in softmax(x):
        after = []
        for s, label in enumerate(says):
            total = before[s] + (before[s - 1] if s else 0)
            if s > 1 and label not in (blank, says[s - 2]):
                total += before[s - 2]
            after.append(total * shares[label])
        before = after
    return -MP.log(before[-1] + before[-2])


_NAMES = ("relu", "silu", "gelu", "gelu_tanh", "softmax", "tanh", "sigmoid", "none")
_HOW = {
    "relu": "(x + |x|) / 2",
    "silu": "x / (1 + e⁻ˣ)",
    "gelu": "x · erfc(-x/√2) / 2",
    "gelu_tanh": "x · σ(2u), for ½(1 + tanh u)",
}
_WAYS = ("mpmath's own", "1 / Σⱼ exp(xⱼ - xᵢ), and minus its logarithm")
CTC_LABELS = ((2,), (0, 2), (0, 0))
"""What is said in four steps, with 1 as the blank."""
_TARGETS = np.array([[2, -1], [0, 4], [-100, 3]])
_SIDES = np.array([[[-1, 0], [1, 0], [0, 1], [0, -1]], [[0, -1], [0, -1], [1, -1], [-1, -1]]])


def _activation_point(name: str) -> Point:
    own = (f"activation.{name}",) if name in (*_HOW, "softmax") else ()
    cancels = name.startswith("gelu")
    return Point(
        id=f"activation.{name}",
        of=(*own, "activation.activate"),
        how=_HOW.get(name, _WAYS[name == "softmax"]),
        inputs={"x": grid(f"activation.{name}", 2, 5, low=-2, high=3)},
        oracle=lambda ar, t: [activation.activate(ar, t["x"], name)],
        witness=lambda t: [activate(t["x"], name)],
        ulps=64 if cancels else 4,
        why="1 + erf and 1 + tanh cancel where x is negative: by 45 at -2" if cancels else "",
    )


def _simplex(x: Host) -> Host:
    """Targets of a soft cross-entropy: positive or zero, and not summing to one."""
    return np.where(x > 1, 0.0, np.abs(x) / 4)


POINTS: tuple[Point, ...] = (
    *(_activation_point(name) for name in _NAMES),
    Point(
        id="activation.softmax.axes",
        of=("activation.softmax", "activation.log_softmax"),
        how="1 / Σⱼ exp(xⱼ - xᵢ), and minus its logarithm",
        inputs={"x": grid("softmax.axes", 2, 3, 2)},
        oracle=lambda ar, t: [
            *(activation.softmax(ar, t["x"], axis) for axis in (0, 1, -1)),
            *(activation.log_softmax(ar, t["x"], axis) for axis in (0, 1, -1)),
        ],
        witness=lambda t: [f(t["x"], axis) for f in (softmax, log_softmax) for axis in (0, 1, -1)],
    ),
    Point(
        id="activation.softmax.large",
        of=("activation.softmax", "activation.log_softmax"),
        how="1 / Σⱼ exp(xⱼ - xᵢ), and minus its logarithm",
        inputs={"x": np.array([[1000.0, 998.5, -1000.0, 999.25], [-1e4, -1e4 - 2.5, 0.5, 0.75]])},
        oracle=lambda ar, t: [activation.softmax(ar, t["x"]), activation.log_softmax(ar, t["x"])],
        witness=lambda t: [softmax(t["x"]), log_softmax(t["x"])],
    ),
    Point(
        id="activation.swiglu",
        of=("activation.swiglu",),
        how="the halves' product times (1 + tanh(g/2)) / 2",
        inputs={"x": grid("swiglu", 1, 3, 4)},
        oracle=lambda ar, t: [activation.swiglu(ar, t["x"])],
        witness=lambda t: [_swiglu(t["x"])],
    ),
    Point(
        id="loss.mse",
        of=("loss.mse",),
        how="(Σx² - 2·Σxy + Σy²) / n, at 100 digits",
        inputs={"x": grid("mse.x", 3, 4), "y": grid("mse.y", 3, 4)},
        oracle=lambda ar, t: [loss.mse(ar, t["x"], t["y"])],
        witness=lambda t: [mse(t["x"], t["y"])],
    ),
    Point(
        id="loss.cross_entropy",
        of=("loss.cross_entropy",),
        how="log Σ exp x - (1 - s)·x[target] - s·mean(x); 0 where ignored",
        inputs={"x": grid("cross_entropy", 3, 2, 5)},
        oracle=lambda ar, t: [loss.cross_entropy(ar, t["x"], _TARGETS, s) for s in (0.0, 0.125)],
        witness=lambda t: [cross_entropy(t["x"], _TARGETS, s) for s in (0.0, 0.125)],
    ),
    Point(
        id="loss.soft_cross_entropy",
        of=("loss.soft_cross_entropy",),
        how="Σy · log Σ exp x - Σ xy",
        inputs={"x": grid("soft.x", 2, 3, 4), "y": _simplex(grid("soft.y", 2, 3, 4))},
        oracle=lambda ar, t: [loss.soft_cross_entropy(ar, t["x"], t["y"])],
        witness=lambda t: [soft_cross_entropy(t["x"], t["y"])],
    ),
    Point(
        id="loss.span_cross_entropy",
        of=("loss.span_cross_entropy",),
        how="log Σ exp(xⱼ - x[side]) over what may be the side; 0 where none is",
        inputs={"x": grid("spans", 2, 4, 2)},
        oracle=lambda ar, t: [loss.span_cross_entropy(ar, t["x"], _SIDES)],
        witness=lambda t: [span_cross_entropy(t["x"], _SIDES)],
    ),
    Point(
        id="loss.binary_cross_entropy",
        of=("loss.binary_cross_entropy",),
        how="-log((1 ± tanh(y/2)) / 2); 0 where ignored",
        inputs={"x": grid("binary", 3, 2)},
        oracle=lambda ar, t: [
            loss.binary_cross_entropy(ar, t["x"], np.array([[1, 0], [-1, 1], [0, -100]]))
        ],
        witness=lambda t: [binary_cross_entropy(t["x"], np.array([[1, 0], [-1, 1], [0, -100]]))],
    ),
    Point(
        id="loss.ctc",
        of=("loss.ctc",),
        how="the forward variables, as probabilities",
        inputs={"x": grid("ctc", 4, 3)},
        oracle=lambda ar, t: [loss.ctc(ar, t["x"], labels, 1) for labels in CTC_LABELS],
        witness=lambda t: [np.array([ctc(t["x"], y, 1)], object) for y in CTC_LABELS],
    ),
)
