"""Floating-point formats on the host: rounding to them, and their unit in the last place."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.numerics import FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PRECISIONS", "Precision"]

Host = Any


@final
@dataclass(frozen=True)
class Precision:
    """A floating-point format, with NumPy's means to imitate it.

    Args:
        name: the contract's name of the dtype.
        compute: the NumPy dtype in which an honest implementation sums: float32 for 16 bits.
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
        return self.digits < FORMATS["float32"].digits

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
    """The upper 16 bits of float32, rounded to nearest, ties to even."""
    # Adding just under half of the discarded part, plus one where the kept part is odd, carries
    # into the kept bits exactly when rounding to even goes up. NaN would carry into infinity, so it
    # is put back.
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = (bits + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(x), x, rounded.view(np.float32)).reshape(np.shape(x))


PRECISIONS: Mapping[str, Precision] = MappingProxyType(
    {
        p.name: p
        for p in (
            Precision(name, "float64" if name == "float64" else "float32", form.digits, form.lowest)
            for name, form in FORMATS.items()
        )
    }
)
