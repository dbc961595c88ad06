"""Activation functions, and softmax along an axis."""

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
    """exp(xᵢ) / Σ exp(xⱼ)."""
    # Subtracting the maximum changes nothing in exact arithmetic, and keeps exp from overflowing.
    powers = ar.exp(x - ar.max(x, axis))
    return powers / ar.sum(powers, axis, keepdims=True)


def log_softmax(ar: Arithmetic, x: Host, axis: int = -1) -> Host:
    """xᵢ - log Σ exp(xⱼ)."""
    shifted = x - ar.max(x, axis)
    return shifted - ar.log(ar.sum(ar.exp(shifted), axis, keepdims=True))


def relu(ar: Arithmetic, x: Host) -> Host:
    """max(x, 0); the gradient at 0 is 0, as the contract has it."""
    return ar.where(raw(x) > 0, x, 0.0)


def silu(ar: Arithmetic, x: Host) -> Host:
    """x·sigmoid(x) (arXiv:1702.03118)."""
    return x * ar.sigmoid(x)


def gelu(ar: Arithmetic, x: Host) -> Host:
    """x·Φ(x), with Φ the normal distribution function (arXiv:1606.08415)."""
    return x * (0.5 + 0.5 * ar.erf(x / math.sqrt(2)))


def gelu_tanh(ar: Arithmetic, x: Host) -> Host:
    """0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), the approximation of GELU (arXiv:1606.08415)."""
    return 0.5 * x * (1 + ar.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))


def swiglu(ar: Arithmetic, x: Host) -> Host:
    """silu(gate)·value, gate and value being the halves of the last axis (arXiv:2002.05202)."""
    half = raw(x).shape[-1] // 2
    return silu(ar, x[..., :half]) * x[..., half:]


def activate(ar: Arithmetic, x: Host, name: str) -> Host:
    """Apply the activation that a configuration names."""
    if name in ("tanh", "sigmoid"):
        return getattr(ar, name)(x)
    named = {"relu": relu, "silu": silu, "gelu": gelu, "gelu_tanh": gelu_tanh, "softmax": softmax}
    return x if name == "none" else named[name](ar, x)
