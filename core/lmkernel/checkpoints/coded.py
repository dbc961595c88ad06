"""A quantised weight of a checkpoint, in one form whatever the method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.composed.codes import CODES
from lmkernel.contract.blocks import Blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Coded", "fields_of_words"]


_LEAST = 8
"""Numbers of a group; with fewer, scales take as much memory as the numbers."""


@final
@dataclass(frozen=True)
class Coded:
    """Codes ``(out, in)`` with a scale for each group of a row.

    Args:
        kind: as in `Blocks`.
        codes: uint8, one code each.
        scales: float32 ``(out, groups)``.
        zeros: ``(out, groups)``, the code that stands for 0; None for the kind's own.
        columns: the place of each column, where groups are of columns in another order.
    """

    kind: str
    codes: NDArray[np.uint8]
    scales: NDArray[np.float32]
    zeros: NDArray[Any] | None = None
    columns: NDArray[Any] | None = None

    def numbers(self) -> NDArray[np.float32]:
        """``(code - zero) · scale``, or ``level[code] · scale``, in float32."""
        found, (out, width) = CODES[self.kind], self.codes.shape
        grouped = self.codes.reshape(out, self.scales.shape[1], -1)
        if found.levels:
            values = np.array(found.levels, np.float32)[grouped]
        else:
            zeros = found.zero if self.zeros is None else self.zeros[..., None].astype(np.float32)
            values = grouped.astype(np.float32) - np.float32(zeros)
        values = np.ascontiguousarray(values * self.scales[..., None]).reshape(out, width)
        values *= np.float32(found.factor)
        return values if self.columns is None else values[:, np.argsort(self.columns)]

    def blocks(self) -> Blocks | None:
        """The same for memory; None where the order of columns, zeros or groups do not allow it."""
        odd = self.zeros is not None and (self.zeros.min() < 0 or self.zeros.max() > 255)  # noqa: PLR2004 - of a byte
        small = self.codes.shape[1] < _LEAST * self.scales.shape[1]
        if self.columns is not None or odd or small:
            return None
        codes, (out, width) = self.codes, self.codes.shape
        if CODES[self.kind].bits == 4:  # noqa: PLR2004 - two in a byte
            codes = codes if width % 2 == 0 else np.pad(codes, ((0, 0), (0, 1)))
            codes = codes[:, ::2] | codes[:, 1::2] << np.uint8(4)
        zeros = None if self.zeros is None else self.zeros.astype(np.uint8)
        return Blocks(self.kind, (out, width), codes, self.scales.astype(np.float32), zeros)


def fields_of_words(words: NDArray[Any], bits: int, axis: int) -> NDArray[np.uint8]:
    """The fields of int32 words, the lowest first, spread along an axis of the words."""
    shifts = np.arange(0, 32, bits, dtype=np.uint32)
    moved = np.moveaxis(words, axis, -1)
    unsigned = np.ascontiguousarray(moved).astype(np.int32, copy=False).view(np.uint32)
    fields = (unsigned[..., None] >> shifts & np.uint32((1 << bits) - 1)).astype(np.uint8)
    return np.moveaxis(fields.reshape(*moved.shape[:-1], -1), -1, axis)
