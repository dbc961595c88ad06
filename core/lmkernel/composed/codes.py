"""Codes of 4 or 8 bits with a scale for each group of a row."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["CODES", "Codes"]


@final
@dataclass(frozen=True)
class Codes:
    """What codes stand for before they are scaled.

    Args:
        bits: of a code.
        levels: the number of each code; empty where a code is a number itself.
        factor: what scales are in, where it is rounded after them.
    """

    bits: int
    levels: tuple[float, ...] = ()
    factor: float = 1.0

    @property
    def zero(self) -> int:
        """The code of 0 where none is given, without levels."""
        return 1 << (self.bits - 1)

    def expand(self, ops: Ops, codes: Array, scales: Array, zeros: Array | None) -> Array:
        """``(rows, groups, each)`` numbers in float32.

        Args:
            ops: the operations.
            codes: int32 ``(rows, groups, each)``.
            scales: float32 ``(rows, groups)``.
            zeros: int32 ``(rows, groups)``, or None.
        """
        spread = (*scales.shape, 1)
        if self.levels:
            numbers = ops.take(ops.asarray(np.array(self.levels), "float32"), codes, 0)
        elif zeros is None:
            numbers = ops.astype(codes - ops.full((), self.zero, "int32"), "float32")
        else:
            numbers = ops.astype(codes - ops.reshape(zeros, spread), "float32")
        numbers = numbers * ops.reshape(scales, spread)
        if self.factor == 1:
            return numbers
        return numbers * ops.full((), self.factor, "float32")


def _small_float(exponent: int, mantissa: int, *, infinite: bool) -> tuple[float, ...]:
    """The numbers of an 8-bit or 4-bit floating format, by their bits."""
    bias, size = (1 << (exponent - 1)) - 1, 1 << (exponent + mantissa)
    found = []
    for code in range(size):
        e, m = divmod(code, 1 << mantissa)
        value = (m + ((1 << mantissa) if e else 0)) * 2.0 ** (max(e, 1) - bias - mantissa)
        if infinite and e == (1 << exponent) - 1:
            value = float("nan") if m else float("inf")
        found.append(value)
    if not infinite and size > 8:  # noqa: PLR2004 - E4M3 alone has a NaN among its numbers
        found[-1] = float("nan")
    return (*found, *(-value for value in found))


_NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
"""NormalFloat (Dettmers et al. 2023, arXiv:2305.14314, appendix E)."""
_FP4 = (0.0, 0.0052083333, 0.66666667, 1.0, 0.33333333, 0.5, 0.16666667, 0.25)
"""The 4-bit floating numbers of bitsandbytes, largest 1."""

CODES: Mapping[str, Codes] = MappingProxyType(
    {
        "int4": Codes(4),
        "int8": Codes(8),
        "int8_127": Codes(8, factor=float(np.float32(1 / 127))),
        "nf4": Codes(4, _NF4),
        "fp4": Codes(4, (*_FP4, 0.0, *(-x for x in _FP4[1:]))),
        "e2m1": Codes(4, _small_float(2, 1, infinite=False)),
        "e4m3": Codes(8, _small_float(4, 3, infinite=False)),
        "e5m2": Codes(8, _small_float(5, 2, infinite=True)),
    }
)
"""By the name of the kind (OCP's MX and 8-bit floating formats by theirs)."""
