"""Arrays of mpmath's numbers: functions over NumPy arrays of objects, at 100 digits."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

__all__ = [
    "DIGITS",
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
    "product",
    "sigmoid",
    "sin",
    "sqrt",
    "tanh",
]

Host = Any

DIGITS = 100
"""Of every number; those that differences leave of a derivative are about sixty."""
MP = mpmath.mp.clone()
"""A context of our own: nobody else's precision moves it."""
MP.dps = DIGITS
MAKER = f"mpmath {mpmath.__version__}, {DIGITS} digits"


def _each(f: Any) -> Any:
    """``f`` of each element; an array comes back, whatever its rank."""
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


def product(x: Host, y: Host) -> Host:
    """Matrix product of ``(…, n, k)`` and ``(…, k, m)``, as a sum of outer products."""
    return sum(x[..., :, i, None] * y[..., None, i, :] for i in range(x.shape[-1]))
