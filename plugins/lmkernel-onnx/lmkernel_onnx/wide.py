"""The error function of float64, which ONNX Runtime has in float32 alone.

Constraint: a series near zero and a continued fraction far from it (DLMF 7.6.2 and 7.9.1), to the
last digits. ``exp`` is ONNX's, which is exact in float64.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lmkernel_onnx.values import node

if TYPE_CHECKING:
    from lmkernel_onnx.values import Value

__all__ = ["erf"]

_JOINT = 2.0  # the |x| from which erf is a continued fraction instead of a series
_FAR = 6.0  # from here on it is 1
_TERMS = 48
"""The number of terms of both; at the joint more terms change nothing."""


def erf(x: Value) -> Value:
    """Erf of float64, element by element."""
    size = _same("Abs", x)
    near, far = _near(_clip(size, 0.0, _JOINT)), _far(_clip(size, _JOINT, _FAR))
    return node("Where", [size < _JOINT, near, far], x.dtype, x.shape) * _same("Sign", x)


def _near(x: Value) -> Value:
    """2/√π · exp(-x²) · Σ 2ⁿ x²ⁿ⁺¹ / (1·3·…·(2n + 1)), whose terms are all positive."""
    square, total = x * x, x * 0.0 + 1.0
    for n in range(_TERMS, 0, -1):
        total = 1.0 + total * square * (2 / (2 * n + 1))
    return x * _same("Exp", -square) * total * (2 / math.sqrt(math.pi))


def _far(x: Value) -> Value:
    """1 - exp(-x²)/√π / (x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …))))."""
    rest = x * 0.0
    for n in range(_TERMS, 0, -1):
        rest = (n / 2) / (x + rest)
    return 1.0 - _same("Exp", -(x * x)) / (x + rest) / math.sqrt(math.pi)


def _clip(x: Value, low: float, high: float) -> Value:
    ends = [np.array(end, x.dtype) for end in (low, high)]
    return node("Clip", [x, *ends], x.dtype, x.shape)


def _same(what: str, x: Value) -> Value:
    return node(what, [x], x.dtype, x.shape)
