"""Element types by name, and bfloat16, which NumPy lacks.

A bfloat16 is the upper half of a float32, so widening is exact: ``bits << 16``. Narrowing rounds to
the nearest, ties to even: adding ``0x7fff + lowest kept bit`` carries into the upper half exactly
when it must; a NaN stays a (quiet) NaN.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import CheckpointError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["POWERS", "STORED_DTYPES", "narrow", "to_dtype", "widen"]

_PLAIN = ("float64", "float32", "float16", "int64", "int32", "int16", "int8")
_UNSIGNED = ("uint64", "uint32", "uint16", "uint8", "bool")

NUMPY_DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {name: np.dtype(name).newbyteorder("<") for name in (*_PLAIN, *_UNSIGNED)}
)
"""What `Tensors.read` can give, by name; little-endian, as files are."""

STORED_DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        **NUMPY_DTYPES,
        "bfloat16": np.dtype("<u2"),
        **dict.fromkeys(("float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"), np.dtype("u1")),
    }
)
"""What a file can hold, by name, and the NumPy type of its raw elements."""

POWERS = np.array([*(2.0 ** (n - 127) for n in range(255)), np.nan], np.float32)
"""The number of each byte in E8M0, a power of two (OCP Microscaling Formats v1.0, §5.4.1)."""


def widen(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The float32 values of bfloat16 bit patterns; exact."""
    return np.left_shift(bits, 16, dtype=np.uint32).view(np.float32)


def narrow(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bfloat16 bit patterns nearest to float32 values, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + (np.uint32(0x7FFF) + ((bits >> 16) & 1))) >> 16
    return np.where(np.isnan(values), (bits >> 16) | 0x40, rounded).astype(np.uint16)


def to_dtype(array: NDArray[Any], dtype: str | None, what: str) -> NDArray[Any]:
    """``array`` in the dtype asked for; itself, not a copy, when it has it already.

    Raises:
        CheckpointError: NumPy has no such dtype; ``what`` says which tensor was asked for.
    """
    if dtype is None:
        return array
    if dtype not in NUMPY_DTYPES:
        known = ", ".join(NUMPY_DTYPES)
        raise CheckpointError(f"{what}: expected a dtype among {known}, got {shown(dtype)}")
    return array.astype(NUMPY_DTYPES[dtype], copy=False)
