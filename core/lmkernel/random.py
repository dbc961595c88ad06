"""Random numbers that are the same bits on every backend, Python and NumPy.

Constraints: only the raw integers of the counter-based generator Philox 4x64-10 (Salmon et al.,
SC '11) are used, keyed by a seed and a purpose; conversions are our own and use only operations
that IEEE 754 rounds exactly (+ - × ÷ √), so that no library's logarithm can move a bit.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["normals", "raw_words", "uniforms"]


def raw_words(seed: int, purpose: str, count: int) -> NDArray[np.uint64]:
    """``count`` 64-bit words of the stream named by a seed and a purpose."""
    digest = hashlib.blake2b(purpose.encode(), digest_size=8).digest()
    key = np.array([int(seed) % 2**64, int.from_bytes(digest, "little")], dtype=np.uint64)
    return np.random.Philox(key=key).random_raw(count)


def uniforms(seed: int, purpose: str, count: int) -> NDArray[np.float64]:
    """Uniform in [0, 1): the upper 53 bits of each word, divided by 2⁵³."""
    words = raw_words(seed, purpose, count) >> np.uint64(11)
    return words.astype(np.float64) * 2.0**-53


def normals(seed: int, purpose: str, count: int) -> NDArray[np.float64]:
    """Standard normal: quantiles by algorithm AS 241 (Wichura 1988, Applied Statistics 37).

    Of the upper 52 bits of each word, as midpoints (n + ½)·2⁻⁵², which are exact and never 0 or 1.
    """
    words = raw_words(seed, purpose, count) >> np.uint64(12)
    return _quantile((words.astype(np.float64) + 0.5) * 2.0**-52)


_CENTRE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
_MIDDLE = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177,
     1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055,
     4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966,
     0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494,
     2.05319162663775882187, 1.0),
)  # fmt: skip
_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386,
     0.026532189526576123093, 0.29656057182850489123, 1.7848265399172913358,
     5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5,
     7.868691311456132591e-4, 0.0148753612908506148525, 0.13692988092273580531,
     0.59983220655588793769, 1.0),
)  # fmt: skip
_LN2 = 0.6931471805599453
_HALF_ROOT = 0.7071067811865476
_CENTRE_LIMIT, _MIDDLE_LIMIT = 0.425, 5.0


def _quantile(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the normal distribution function reaches ``p``; relative error about 1e-15."""
    q = p - 0.5
    centre = q * _ratio(_CENTRE, 0.180625 - q * q)
    outer = np.abs(q) > _CENTRE_LIMIT
    r = np.sqrt(-_log(np.where(q < 0, p, 1 - p)[outer]))
    far = np.where(r <= _MIDDLE_LIMIT, _ratio(_MIDDLE, r - 1.6), _ratio(_TAIL, r - 5.0))
    centre[outer] = np.where(q[outer] < 0, -far, far)
    return centre


def _ratio(
    polynomials: tuple[tuple[float, ...], tuple[float, ...]], x: NDArray[np.float64]
) -> NDArray[np.float64]:
    above, below = np.zeros_like(x), np.zeros_like(x)
    for a, b in zip(*polynomials, strict=True):
        above, below = above * x + a, below * x + b
    return above / below


def _log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithm of positive numbers: 2·artanh((m-1)/(m+1)) of the mantissa, as a series."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < _HALF_ROOT
    mantissa, exponent = np.where(small, mantissa * 2, mantissa), exponent - small
    t = (mantissa - 1) / (mantissa + 1)
    total = np.zeros_like(t)
    for power in range(23, 0, -2):
        total = total * (t * t) + 1.0 / power
    result: NDArray[np.float64] = 2 * t * total + exponent * _LN2
    return result
