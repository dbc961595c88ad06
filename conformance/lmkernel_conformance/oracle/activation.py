"""Activations, and softmax along an axis."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.oracle.tape import raw

if TYPE_CHECKING:
    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = [
    "activate",
    "gelu",
    "gelu_tanh",
    "log_softmax",
    "relu",
    "silu",
    "softmax",
    "swiglu",
]

Host = Any


def softmax(ar: Arithmetic, x: Host, axis: int = -1) -> Host:
    """exp(xᵢ) / Σ exp(xⱼ), unchanged by subtracting the maximum."""
    powers = ar.exp(x - ar.max(x, axis))
    return powers / ar.sum(powers, axis, keepdims=True)


def log_softmax(ar: Arithmetic, x: Host, axis: int = -1) -> Host:
    """xᵢ - log Σ exp(xⱼ)."""
    shifted = x - ar.max(x, axis)
    return shifted - ar.log(ar.sum(ar.exp(shifted), axis, keepdims=True))


def relu(ar: Arithmetic, x: Host) -> Host:
    """The positive part."""
    return ar.where(raw(x) > 0, x, 0.0)


def silu(ar: Arithmetic, x: Host) -> Host:
    """X times the logistic function of x."""
    return x * ar.sigmoid(x)


def gelu(ar: Arithmetic, x: Host) -> Host:
    """X times the normal distribution function of x."""
    return x * (0.5 + 0.5 * ar.erf(x / math.sqrt(2)))


def gelu_tanh(ar: Arithmetic, x: Host) -> Host:
    """The approximation 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))."""
    return 0.5 * x * (1 + ar.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))


def swiglu(ar: Arithmetic, x: Host) -> Host:
    """Gate and value are the two halves of the last axis."""
    half = raw(x).shape[-1] // 2
    return silu(ar, x[..., :half]) * x[..., half:]


def activate(ar: Arithmetic, x: Host, name: str) -> Host:
    """One of the names that a configuration may give."""
    if name in ("tanh", "sigmoid"):
        return getattr(ar, name)(x)
    named = {"relu": relu, "silu": silu, "gelu": gelu, "gelu_tanh": gelu_tanh, "softmax": softmax}
    return x if name == "none" else named[name](ar, x)
