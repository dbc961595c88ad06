"""Element-wise activations and softmax."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lmkernel.composed.precision import accumulated, constant

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["gelu", "gelu_tanh", "log_softmax", "relu", "silu", "softmax", "swiglu"]


@accumulated
def softmax(ops: Ops, x: Array, axis: int = -1) -> Array:
    """exp(x - max) / sum; the maximum is a constant to the gradient, which it cancels from."""
    powers = ops.exp(x - ops.stop_gradient(ops.max(x, axis, keepdims=True)))
    return powers / ops.sum(powers, axis, keepdims=True)


@accumulated
def log_softmax(ops: Ops, x: Array, axis: int = -1) -> Array:
    """(x - max) - log(sum(exp(x - max)))."""
    shifted = x - ops.stop_gradient(ops.max(x, axis, keepdims=True))
    return shifted - ops.log(ops.sum(ops.exp(shifted), axis, keepdims=True))


def relu(ops: Ops, x: Array) -> Array:
    """max(x, 0), with gradient 0 at 0."""
    zero = constant(ops, 0.0, x)
    return ops.where(x <= zero, zero, x)  # NaN stays


def silu(ops: Ops, x: Array) -> Array:
    """X · sigmoid(x)."""
    return x * ops.sigmoid(x)


def gelu(ops: Ops, x: Array) -> Array:
    """x/2 · (1 + erf(x/√2))."""
    half, one = constant(ops, 0.5, x), constant(ops, 1.0, x)
    return half * x * (one + ops.erf(x * constant(ops, math.sqrt(0.5), x)))


def gelu_tanh(ops: Ops, x: Array) -> Array:
    """x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³)))."""
    half, one = constant(ops, 0.5, x), constant(ops, 1.0, x)
    cubic = x + constant(ops, 0.044715, x) * x * x * x
    return half * x * (one + ops.tanh(constant(ops, math.sqrt(2 / math.pi), x) * cubic))


def swiglu(ops: Ops, x: Array) -> Array:
    """The first half gates the second."""
    half = x.shape[-1] // 2
    return ops.silu(x[..., :half]) * x[..., half:]
