"""Numbers rounded to a floating-point format of 16 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.checkpoints.dtypes import narrow, widen

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SHORT", "cut_digits", "round_to"]

SHORT = ("bfloat16", "float16")
"""The formats, by the contract's names."""


def round_to(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """The nearest numbers of one of `SHORT`, in the dtype of ``values``; too large is infinite."""
    flat = values.astype(np.float32)
    with np.errstate(over="ignore"):
        short = widen(narrow(flat)) if dtype == "bfloat16" else flat.astype(np.float16)
    return short.astype(values.dtype)


def cut_digits(values: NDArray[Any], digits: int) -> NDArray[Any]:
    """Without all but so many binary digits, in the dtype and the range of ``values``."""
    part, exponent = np.frexp(values)
    made: NDArray[Any] = np.ldexp(np.trunc(np.ldexp(part, digits)), exponent - digits)
    return made.astype(values.dtype)
