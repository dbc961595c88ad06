"""Weights of few bits, on the host: what a file holds, or what was made of a weight when loading.

Constraint: a kind says all about the numbers but their shape. Kinds that are named after GGUF's
types hold its blocks as they are, scales among them. The others hold codes of 4 or 8 bits, the
first in the lowest bits, with a scale for each group of a row: ``(code - zero) · scale``, or
``level[code] · scale`` where a kind has levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Blocks"]


@final
@dataclass(frozen=True, eq=False)
class Blocks:
    """A quantised weight ``(out, in)``.

    Args:
        kind: such as ``"q4_k"`` or ``"int8"``.
        shape: ``(out, in)``.
        codes: uint8 ``(out, bytes)``, row by row.
        scales: float32 ``(out, groups)``, or None where the codes have them among them.
        zeros: uint8 ``(out, groups)``: the code that stands for 0; None for a kind's own.
    """

    kind: str
    shape: tuple[int, int]
    codes: NDArray[np.uint8]
    scales: NDArray[np.float32] | None = None
    zeros: NDArray[np.uint8] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the codes."""
        return self.codes.dtype

    @property
    def parts(self) -> tuple[NDArray[Any], ...]:
        """The arrays that it has."""
        return tuple(x for x in (self.codes, self.scales, self.zeros) if x is not None)

    @property
    def nbytes(self) -> int:
        """Bytes of all its arrays."""
        return sum(part.nbytes for part in self.parts)

    def rows(self, index: slice | NDArray[np.intp]) -> Blocks:
        """Some of its rows; views for a slice."""
        scales = None if self.scales is None else self.scales[index]
        zeros = None if self.zeros is None else self.zeros[index]
        codes = self.codes[index]
        return Blocks(self.kind, (len(codes), self.shape[1]), codes, scales, zeros)
