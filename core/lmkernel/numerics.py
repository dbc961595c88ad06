"""What every judgement of floating-point results shares: the formats, and a budget's factor.

The conformance suite judges each result of a backend, `lmkernel.comparison` the logits of a whole
model. Both allow a multiple of the error that an honest implementation makes, and both count in
units in the last place (ulps). They read the multiple and the formats here, so that a number that
passes the one is not refused by the other for a different notion of "close".
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, final

from lmkernel.arguments import require_known

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FACTOR", "FLOOR_ULPS", "FORMATS", "float32_ulps"]

FACTOR = 4.0
"""How many times the honest error is allowed.

Honest errors are measured on a handful of orders of summation. A library may sum in yet another
order, with fused multiply-adds and a different ``exp``, and do no worse than a small multiple of
them; a real mistake (a missing factor, float32 where float64 was promised) is off by far more.
"""
FLOOR_ULPS = 4.0
"""Ulps that are always allowed: a result may be exact by luck on the machine that measures."""


@final
@dataclass(frozen=True)
class FloatFormat:
    """A binary floating-point format (IEEE 754, and bfloat16).

    Args:
        digits: binary digits of the significand, the hidden one included.
        lowest: exponent of the smallest normal number.
    """

    digits: int
    lowest: int

    @property
    def ulp(self) -> float:
        """The unit in the last place of the numbers from 1 up to 2."""
        return float(2.0 ** (1 - self.digits))


FORMATS: Mapping[str, FloatFormat] = MappingProxyType(
    {
        "float32": FloatFormat(digits=24, lowest=-126),
        "float64": FloatFormat(digits=53, lowest=-1022),
        "bfloat16": FloatFormat(digits=8, lowest=-126),
        "float16": FloatFormat(digits=11, lowest=-14),
    }
)
"""By the contract's name of the dtype."""


def float32_ulps(dtype: str) -> float:
    """One unit in the last place of ``dtype``, in those of float32: 2^16 for bfloat16.

    Args:
        dtype: one of `FORMATS`.

    Raises:
        UnknownNameError: it is none of them.
    """
    require_known("dtype", dtype, FORMATS)
    return FORMATS[dtype].ulp / FORMATS["float32"].ulp
