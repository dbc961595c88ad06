"""Linear layers and normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel_conformance.oracle.tape import link, raw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["dense", "layer_norm", "linear", "rms_norm"]

Host = Any


def linear(
    ar: Arithmetic, x: Host, weight: Host, bias: Host = None, delta: tuple[Host, Host] | None = None
) -> Host:
    """W·x + b (+ B·A·x) for each vector x, with W of (out, in)."""
    rows = ar.reshape(x, (-1, raw(x).shape[-1]))
    y = ar.matmul(rows, ar.transpose(weight, (1, 0)))
    if bias is not None:
        y = ar.narrow(y) + bias
    if delta is not None:
        low = ar.narrow(linear(ar, rows, delta[0]))
        y = ar.narrow(y) + ar.narrow(linear(ar, low, delta[1]))
    return ar.reshape(y, (*raw(x).shape[:-1], raw(weight).shape[0]))


def dense(ar: Arithmetic, x: Host, p: Mapping[str, Host], name: str) -> Host:
    """The product with the named weight, plus its bias where there is one."""
    return linear(ar, x, p[f"{name}.weight"], p.get(f"{name}.bias"))


def layer_norm(ar: Arithmetic, x: Host, weight: Host, bias: Host, eps: float) -> Host:
    """(x - mean) / √(variance + ε) · weight + bias (arXiv:1607.06450); the variance is biased."""
    y = ar.narrow(ar.narrow(_standardize(ar, x, eps)) * weight)
    return y if bias is None else y + bias


def _standardize(ar: Arithmetic, x: Host, eps: float) -> Host:
    """(x - mean) / √(variance + ε)."""
    centre = ar.mean(x, -1, keepdims=True)
    centred = x - centre
    deviation = ar.sqrt(ar.mean(centred * centred, -1, keepdims=True) + eps)
    y = centred / deviation
    if not ar.other_formula:
        return y
    # Kernels have the gradient in closed form, multiplied out to scale·g + slope·x + shift, whose
    # last two terms cancel where the mean is large.
    v, mean, scale = raw(x), raw(centre), 1 / raw(deviation)

    def back(g: Host) -> Host:
        total, along = ar.mean(g, -1, keepdims=True), ar.mean(g * v, -1, keepdims=True)
        slope = (total * mean - along) * scale * scale * scale
        return scale * g + slope * v + (-slope * mean - total * scale)

    return link(ar, raw(y), (x, back))


def rms_norm(ar: Arithmetic, x: Host, weight: Host, eps: float) -> Host:
    """RMS norm: x / √(mean of x² + ε) · weight (arXiv:1910.07467, eq. 4)."""
    return ar.narrow(x / ar.sqrt(ar.mean(x * x, -1, keepdims=True) + eps)) * weight
