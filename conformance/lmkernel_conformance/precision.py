"""Floating formats: how they round, and what a unit in the last place is."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PRECISIONS", "Precision"]

Host = Any


@final
@dataclass(frozen=True)
class Precision:
    """A floating format.

    Args:
        name: the contract's name of it.
        compute: NumPy's format in which an honest implementation sums: float32 for 16 bits.
        digits: binary digits of the significand, the hidden one included.
        lowest: exponent of the smallest normal number.
    """

    name: str
    compute: str
    digits: int
    lowest: int

    @property
    def narrow(self) -> bool:
        """Whether it is stored in fewer bits than it sums in."""
        return self.digits < 24  # noqa: PLR2004 - float32's digits

    @property
    def tiny(self) -> float:
        """The smallest normal number."""
        return float(2.0**self.lowest)

    def round(self, x: Host) -> Host:
        """The nearest numbers of this format, ties to even, held in ``compute``."""
        y = np.asarray(x, self.compute)
        if self.name == "float16":
            return y.astype(np.float16).astype(np.float32)
        return _bfloat16(y) if self.name == "bfloat16" else y

    def ulp(self, x: Host) -> Host:
        """The unit in the last place of each element, at least that of the smallest normal."""
        magnitude = np.maximum(np.abs(np.asarray(x, np.float64)), self.tiny)
        _, exponent = np.frexp(magnitude)
        return np.ldexp(1.0, exponent - self.digits)


def _bfloat16(x: Host) -> Host:
    """The upper 16 bits of float32, rounded to nearest even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = (bits + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(x), x, rounded.view(np.float32)).reshape(np.shape(x))


PRECISIONS: Mapping[str, Precision] = MappingProxyType(
    {
        p.name: p
        for p in (
            Precision("float32", "float32", 24, -126),
            Precision("float64", "float64", 53, -1022),
            Precision("bfloat16", "float32", 8, -126),
            Precision("float16", "float32", 11, -14),
        )
    }
)
