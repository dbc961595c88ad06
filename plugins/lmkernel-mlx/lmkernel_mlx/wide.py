"""Functions with the precision of their dtype, where MLX's own have less.

Constraint: on the CPU MLX computes exp, sin, cos, sigmoid and erf of float64 in float32, so only 24
of 53 bits are right. Its power, tan, tanh, log and sqrt are exact, so the others are built on them
here, with gradients of their own, since MLX's gradients call the same imprecise functions. Its erf
of float32 is off by 6e-8 near zero, so by 6 % at 1e-6: there the power series is summed instead.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import mlx.core as mx

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array

__all__ = ["cos", "erf", "erf_near_zero", "exp", "exp_to_the_largest", "sigmoid", "sin"]

_E_REST = 5.318237706605892e-17
"""e minus its nearest float64, as a share of e."""
_LOWEST = -1000.0  # below it exp is zero
_LARGE, _LESS = 64.0, 2.0  # from where exp of float32 takes a smaller power, and by how much
_JOINT = 2.0  # the |x| from which erf is a continued fraction instead of a series
_SMALL, _FEW = 0.5, 7
"""Where float32 takes the power series, and its last term."""
_TERMS = 48  # of both; at the joint more terms change nothing


@mx.custom_function
def exp(x: Array) -> Array:
    """The power of the float64 next to e, times (1 + rest)^x to first order."""
    return mx.power(math.e, x) * (1 + _E_REST * mx.maximum(x, _LOWEST))


@exp.vjp
def _(_: Array, cotangent: Array, y: Array) -> Array:
    return cotangent * y


def exp_to_the_largest(x: Array) -> Array:
    """The exp of 32 bits and fewer, which MLX has infinite from 88 on and float32 from 88.73."""
    large, single = x > _LARGE, x.astype(mx.float32)
    less = mx.exp(single - mx.where(large, _LESS, 0.0))
    return (less * mx.where(large, math.exp(_LESS), 1.0)).astype(x.dtype)


@mx.custom_function
def cos(x: Array) -> Array:
    """(1 - t²) / (1 + t²) for t = tan(x/2)."""
    t = mx.tan(x / 2)
    return (1 - t) * (1 + t) / (1 + t * t)


@cos.vjp
def _(x: Array, cotangent: Array, _: Array) -> Array:
    return -cotangent * sin(x)


@mx.custom_function
def sin(x: Array) -> Array:
    """2t / (1 + t²) for t = tan(x/2)."""
    t = mx.tan(x / 2)
    return 2 * t / (1 + t * t)


@sin.vjp
def _(x: Array, cotangent: Array, _: Array) -> Array:
    return cotangent * cos(x)


@mx.custom_function
def sigmoid(x: Array) -> Array:
    """The logistic function, by exp of -|x| alone, which can't overflow."""
    below = exp(-mx.abs(x))
    return mx.where(x < 0, below, mx.ones_like(x)) / (1 + below)


@sigmoid.vjp
def _(_: Array, cotangent: Array, y: Array) -> Array:
    return cotangent * y * (1 - y)


@mx.custom_function
def erf(x: Array) -> Array:
    """A series near zero, a continued fraction far from it (DLMF 7.6.2 and 7.9.1)."""
    size = mx.abs(x)
    y = mx.where(size < _JOINT, _near(mx.minimum(size, _JOINT)), _far(mx.maximum(size, _JOINT)))
    return mx.where(x < 0, -y, y)


@erf.vjp
def _(x: Array, cotangent: Array, _: Array) -> Array:
    return cotangent * exp(-x * x) * (2 / math.sqrt(math.pi))


def erf_near_zero(x: Array) -> Array:
    """The erf of float32, by its power series where |x| < 1/2 (DLMF 7.6.1), else MLX's."""
    small = mx.abs(x) < _SMALL
    near = mx.where(small, x, mx.zeros_like(x))
    total = mx.zeros_like(x)
    for n in range(_FEW, -1, -1):
        total = total * (near * near) + (-1) ** n / (math.factorial(n) * (2 * n + 1))
    return mx.where(small, near * total * (2 / math.sqrt(math.pi)), mx.erf(x))


def _near(x: Array) -> Array:
    """2/√π · exp(-x²) · Σ 2ⁿ x²ⁿ⁺¹ / (1·3·…·(2n + 1)), whose terms are all positive."""
    total = mx.ones_like(x)
    for n in range(_TERMS, 0, -1):
        total = 1 + total * (x * x) * (2 / (2 * n + 1))
    return x * exp(-x * x) * total * (2 / math.sqrt(math.pi))


def _far(x: Array) -> Array:
    """1 - exp(-x²)/√π / (x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …))))."""
    rest = mx.zeros_like(x)
    for n in range(_TERMS, 0, -1):
        rest = (n / 2) / (x + rest)
    return 1 - exp(-x * x) / (x + rest) / math.sqrt(math.pi)
