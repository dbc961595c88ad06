"""The compiled loops; imported only where Numba is installed.

Constraint: an inner loop has no branch and one sum, which may be taken in any order, so that it
becomes vector instructions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["int4", "int8"]

_compile = numba.njit(
    "(f4[:, ::1], u1[:, ::1], f4[:, ::1], f4[:, ::1], i8, i8)",
    nogil=True,
    cache=True,
    fastmath={"reassoc", "contract", "nsz", "arcp"},
)


@_compile
def int8(
    x: NDArray[np.float32],
    codes: NDArray[np.uint8],
    scales: NDArray[np.float32],
    y: NDArray[np.float32],
    begin: int,
    end: int,
) -> None:
    """Rows ``begin`` to ``end`` of the weight: ``y[:, row] = Σ scale · Σ x · (code - 128)``."""
    groups = scales.shape[1]
    each = x.shape[1] // groups
    for row in range(begin, end):
        for n in range(len(x)):
            total = np.float32(0)
            for group in range(groups):
                inner, at = np.float32(0), group * each
                numbers, bytes_ = x[n, at : at + each], codes[row, at : at + each]
                for i in range(each):
                    inner += numbers[i] * np.float32(np.int32(bytes_[i]) - np.int32(128))
                total += inner * scales[row, group]
            y[n, row] = total


@_compile
def int4(
    x: NDArray[np.float32],
    codes: NDArray[np.uint8],
    scales: NDArray[np.float32],
    y: NDArray[np.float32],
    begin: int,
    end: int,
) -> None:
    """The same of two codes in a byte; a group of ``x`` has all first ones before the second."""
    groups = scales.shape[1]
    half = x.shape[1] // groups // 2
    for row in range(begin, end):
        for n in range(len(x)):
            total = np.float32(0)
            for group in range(groups):
                inner, at = np.float32(0), group * half
                pairs = codes[row, at : at + half]
                first = x[n, 2 * at : 2 * at + half]
                second = x[n, 2 * at + half : 2 * at + 2 * half]
                for i in range(half):
                    code = np.int32(pairs[i])
                    inner += first[i] * np.float32((code & 15) - 8)
                    inner += second[i] * np.float32((code >> 4) - 8)
                total += inner * scales[row, group]
            y[n, row] = total
