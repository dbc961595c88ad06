"""Witnesses of affine maps, norms, RoPE and sinusoidal positions."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel.config import RotaryConfig
from lmkernel_conformance.oracle import norm, positions
from lmkernel_proofs.witnesses.point import Point, grid
from lmkernel_proofs.witnesses.precise import MP, exact, exp, sqrt

__all__ = ["POINTS", "layer_norm", "linear", "rms_norm", "rotate", "sinusoids"]

Host = Any


def linear(x: Host, weight: Host, bias: Host = None, delta: Any = None) -> Host:
    """(W + B·A)·x + b, with one dot product for each output."""
    if delta is not None:
        a, b = delta
        low = [[MP.fdot(b[o], a[:, i]) for i in range(a.shape[1])] for o in range(b.shape[0])]
        weight = weight + np.array(low, object)
    rows = x.reshape(-1, x.shape[-1])
    y = np.array([[MP.fdot(row, w) for w in weight] for row in rows], object)
    y = y if bias is None else y + bias
    return y.reshape(*x.shape[:-1], len(weight))


def layer_norm(x: Host, weight: Host, bias: Host, eps: float) -> Host:
    """Layer norm, its variance half the mean squared difference of all pairs."""
    gaps = x[..., :, None] - x[..., None, :]
    n = x.shape[-1]
    variance = (gaps * gaps).sum((-1, -2)) / (2 * n * n)
    y = gaps.sum(-1) / n * weight / sqrt(variance + MP.mpf(eps))[..., None]
    return y if bias is None else y + bias


def rms_norm(x: Host, weight: Host, eps: float) -> Host:
    """x·w·√(n / (Σx² + n·ε))."""
    n = x.shape[-1]
    return x * weight * sqrt(n / ((x * x).sum(-1) + n * MP.mpf(eps)))[..., None]


def frequencies(c: RotaryConfig, theta: Any = None) -> Host:
    """RoPE's frequencies exp(-2i/dim · ln θ); Llama 3.1's scaling is a clamped ramp."""
    base = MP.log(MP.mpf(c.theta) if theta is None else theta)
    plain = exact(np.array([MP.exp(-base * 2 * i / c.dim) for i in range(c.dim // 2)], object))
    if c.scaling == "linear":
        return plain / MP.mpf(c.factor)
    if c.scaling == "none":
        return plain
    turns = c.original_context * plain / (2 * MP.pi)
    low, high = MP.mpf(c.low_freq_factor), MP.mpf(c.high_freq_factor)
    kept = np.array([min(max((x - low) / (high - low), 0), 1) for x in turns], object)
    return plain * (kept + (1 - kept) / MP.mpf(c.factor))


def rotation(steps: Host, c: RotaryConfig) -> tuple[Host, Host]:
    """RoPE's cosines and sines, as real and imaginary part of exp(i·p·f)."""
    steps = np.where(steps > 0, steps, MP.mpf(0))
    turned = np.frompyfunc(MP.expj, 1, 1)(steps[:, None, :, None] * frequencies(c))
    return _parts(turned)


def _parts(z: Host) -> tuple[Host, Host]:
    real, imaginary = np.frompyfunc(lambda v: (v.real, v.imag), 1, 2)(z)
    return real, imaginary


def rotate(x: Host, cos: Host, sin: Host) -> Host:
    """RoPE as a product of complex numbers."""
    half = cos.shape[-1]
    pair = np.frompyfunc(MP.mpc, 2, 1)
    z = pair(x[..., :half], x[..., half : 2 * half])
    real, imaginary = _parts(z * pair(*np.broadcast_arrays(cos, sin)))
    return np.concatenate([real, imaginary, x[..., 2 * half :]], -1)


def sinusoids(steps: Host, width: int, layout: str = "pairs") -> Host:
    """Sinusoidal positions: imaginary and real parts of exp(i·p·10000^(-2i/width)).

    They are interleaved, or imaginary parts come first, with the last rate 1/10000 if that is said.
    """
    last = width - 2 if layout == "halves_to_last" else width
    rates = exp(-2 * exact(np.arange(width // 2)) / last * MP.log(10000))
    steps = np.where(steps > 0, steps, MP.mpf(0))
    cos, sin = _parts(np.frompyfunc(MP.expj, 1, 1)(steps[..., None] * rates))
    if layout != "pairs":
        return np.concatenate([sin, cos], -1)
    return np.stack([sin, cos], -1).reshape(*steps.shape, width)


_RAMP: Any = {"low_freq_factor": 1.25, "high_freq_factor": 18.0, "original_context": 1280}
"""Two of ten wavelengths lie between its ends, two below, six above."""
_ROTARY = (
    RotaryConfig(dim=6, theta=5e5),
    RotaryConfig(dim=6, theta=1e4, scaling="linear", factor=2.5),
    RotaryConfig(dim=20, theta=5e5, scaling="llama3", factor=8.0, **_RAMP),
)
_WHERE = np.array([[-1.0, 7.0], [1.0, 1021.0]])
_HALVES = ("halves", "halves_to_last")
_NARROW = {"w": grid("norm.w", 8, low=0.5, high=3), "b": grid("norm.b", 8)}
_LINEAR = {
    "x": grid("linear.x", 2, 3, 4), "w": grid("linear.w", 5, 4), "b": grid("linear.b", 5),
    "a": grid("linear.a", 2, 4), "c": grid("linear.c", 5, 2),
}  # fmt: skip


def _norms(name: str, x: Host, eps: float) -> Point:
    return Point(
        id=f"norm.{name}",
        of=("norm.layer_norm", "norm.rms_norm"),
        how="the variance from all pairs; x·w·√(n / (Σx² + nε))",
        inputs={"x": x, **_NARROW},
        oracle=lambda ar, t: [
            norm.layer_norm(ar, t["x"], t["w"], t["b"], eps),
            norm.layer_norm(ar, t["x"], t["w"], None, eps),
            norm.rms_norm(ar, t["x"], t["w"], eps),
        ],
        witness=lambda t: [
            layer_norm(t["x"], t["w"], t["b"], eps),
            layer_norm(t["x"], t["w"], None, eps),
            rms_norm(t["x"], t["w"], eps),
        ],
    )


POINTS: tuple[Point, ...] = (
    Point(
        id="norm.linear",
        of=("norm.linear",),
        how="(W + B·A)·x + b, by mpmath's dot products",
        inputs=_LINEAR,
        oracle=lambda ar, t: [
            norm.linear(ar, t["x"], t["w"], t["b"], (t["a"], t["c"])),
            norm.linear(ar, t["x"], t["w"]),
        ],
        witness=lambda t: [
            linear(t["x"], t["w"], t["b"], (t["a"], t["c"])),
            linear(t["x"], t["w"]),
        ],
    ),
    _norms("plain", grid("norm.x", 2, 8), 1e-3),
    _norms("low_variance", grid("norm.low", 2, 8) * 2.0**-10, 1e-5),  # a variance about 1e-6
    _norms("far_mean", grid("norm.far", 2, 8) + 1000.0, 1e-5),
    Point(
        id="positions.frequencies",
        of=("positions.frequencies",),
        how="exp(-2i/dim · ln θ); the ramp of Llama 3.1 as a clamp",
        inputs={"theta": np.array([5e5])},
        oracle=lambda _, t: [
            positions.frequencies(RotaryConfig(dim=10, theta=float(t["theta"][0]))),
            *(positions.frequencies(c) for c in _ROTARY),
        ],
        witness=lambda t: [
            frequencies(RotaryConfig(dim=10), t["theta"][0]),
            *(frequencies(c) for c in _ROTARY),
        ],
        gradient=False,
        ulps=16,
        why="the exponent's rounding counts ln θ times, which is 13",
    ),
    Point(
        id="positions.rotation",
        of=("positions.rotation",),
        how="real and imaginary part of exp(i·p·f); padding does not turn",
        inputs={"p": _WHERE},
        oracle=lambda ar, t: [y for c in _ROTARY for y in positions.rotation(ar, t["p"], c)],
        witness=lambda t: [y for c in _ROTARY for y in rotation(t["p"], c)],
        gradient=False,
    ),
    Point(
        id="positions.rotate",
        of=("positions.rotate",),
        how="a product of complex numbers; the seventh element stays",
        inputs={
            "x": grid("rotate.x", 2, 2, 2, 7),
            "c": grid("rotate.c", 2, 1, 2, 3),
            "s": grid("rotate.s", 2, 1, 2, 3),
        },
        oracle=lambda ar, t: [positions.rotate(ar, t["x"], t["c"], t["s"])],
        witness=lambda t: [rotate(t["x"], t["c"], t["s"])],
    ),
    Point(
        id="positions.sinusoids",
        of=("positions.sinusoids",),
        how="parts of exp(i·p·10000^(-2i/width))",
        inputs={"p": _WHERE},
        oracle=lambda ar, t: [positions.sinusoids(ar, t["p"], 6)],
        witness=lambda t: [sinusoids(t["p"], 6)],
        gradient=False,
    ),
    Point(
        id="positions.sinusoids.halves",
        of=("positions.sinusoids",),
        how="the same, imaginary parts first; rates from 1 to 1/10000",
        inputs={"p": _WHERE},
        oracle=lambda ar, t: [positions.sinusoids(ar, t["p"], 6, layout) for layout in _HALVES],
        witness=lambda t: [sinusoids(t["p"], 6, layout) for layout in _HALVES],
        gradient=False,
    ),
)
