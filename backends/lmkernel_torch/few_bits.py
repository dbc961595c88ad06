"""Codes of 4 and 8 bits as bytes, expanded slab by slab as they are multiplied.

Constraint: the numbers are the composition's bit for bit. torch's own products of codes are not
taken: those that keep float32 are slower than this, the others round scales to 16 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from lmkernel.contract.blocks import Blocks
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array

__all__ = ["PackedCodes", "takes"]

_SLAB = 1 << 18
"""Numbers that are expanded at a time."""
_BITS = {"int4": 4, "int8": 8}


def takes(weight: Blocks) -> bool:
    """Whether codes of this kind are held here."""
    return weight.kind in _BITS and weight.zeros is None and weight.scales is not None


@final
class PackedCodes:
    """A weight ``(out, in)`` in codes, with a scale for each group.

    Args:
        weight: on the host.
        dtype: of the computation.
        device: where it computes.
    """

    __slots__ = ("_bits", "_codes", "_dtype", "_scales", "shape")

    def __init__(self, weight: Blocks, dtype: DType, device: torch.device) -> None:
        self.shape, self._bits = weight.shape, _BITS[weight.kind]
        self._dtype = getattr(torch, dtype)
        self._codes = torch.tensor(weight.codes, device=device)
        self._scales = torch.tensor(weight.scales, device=device)

    def numbers(self, index: slice | Array = slice(None)) -> Array:
        """Some rows as numbers."""
        codes, scales = self._codes[index], self._scales[index]
        if self._bits == 4:  # noqa: PLR2004 - two in a byte, the first in the lower half
            codes = torch.stack((codes & 15, codes >> 4), -1).flatten(-2)[..., : self.shape[1]]
        values = codes.to(torch.float32).sub_(1 << (self._bits - 1))
        grouped = values.view(*scales.shape, -1).mul_(scales.unsqueeze(-1))
        return grouped.view(*codes.shape).to(self._dtype)

    def times(self, x: Array, bias: Array | None) -> Array:
        """``x (…, in) -> (…, out)``."""
        step = max(1, _SLAB // self.shape[1])
        slabs = [slice(row, row + step) for row in range(0, self.shape[0], step)]
        y = torch.cat([functional.linear(x, self.numbers(rows)) for rows in slabs], -1)
        return y if bias is None else y + bias
