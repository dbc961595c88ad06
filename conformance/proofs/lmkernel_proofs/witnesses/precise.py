"""Functions over NumPy arrays of mpmath's numbers, at 100 digits."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

__all__ = [
    "MAKER",
    "MP",
    "absolute",
    "cos",
    "erf",
    "erfc",
    "exact",
    "exp",
    "full",
    "log",
    "sigmoid",
    "sin",
    "sqrt",
    "tanh",
]

Host = Any

DIGITS = 100
"""Decimal digits of every number; differences leave about sixty of them in a derivative."""
MP = mpmath.mp.clone()
"""A context of our own, so that nobody else's precision changes it."""
MP.dps = DIGITS
MAKER = f"mpmath {mpmath.__version__}, {DIGITS} digits"


def _each(f: Any) -> Any:
    """Lift ``f`` to arrays; a scalar gives a 0-d array, where `numpy.frompyfunc` would not."""
    lifted = np.frompyfunc(f, 1, 1)

    def apply(x: Host) -> Host:
        return np.asarray(lifted(x), object)

    return apply


exact = _each(lambda x: MP.mpf(float(x)) if not isinstance(x, MP.mpf) else x)
exp, log, sqrt, erf, erfc, cos, sin = (
    _each(f) for f in (MP.exp, MP.log, MP.sqrt, MP.erf, MP.erfc, MP.cos, MP.sin)
)
absolute = _each(abs)


def tanh(x: Host) -> Host:
    """1 - 2 / (exp(2x) + 1)."""
    return 1 - 2 / (exp(2 * x) + 1)


def sigmoid(x: Host) -> Host:
    """(1 + tanh(x/2)) / 2."""
    return (1 + _each(MP.tanh)(x / MP.mpf(2))) / 2


def full(shape: tuple[int, ...], value: float = 0.0) -> Host:
    """A constant array."""
    return exact(np.full(shape, value))
