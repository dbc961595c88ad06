"""Weights of few bits with bits of any kind, and the numbers that they stand for.

Constraint: a label gives the same bytes everywhere, as for all inputs of cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmkernel.contract.blocks import Blocks
from lmkernel_conformance.block_numbers import SIZES, numbers_of_blocks, numbers_of_codes
from lmkernel_conformance.inputs import normal, tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["coded_weight", "stored_weight"]


def stored_weight(
    kind: str, out: int, blocks: int, *, label: str = ""
) -> tuple[Blocks, NDArray[np.float64]]:
    """A weight as a GGUF file holds it: any bytes, but for scales of the usual size.

    Args:
        kind: kind of block, such as ``q4_k``.
        out: number of rows.
        blocks: number of blocks in a row.
        label: what tells one weight of a kind from another.

    Returns:
        The blocks, and the numbers in them ``(out, in)``.
    """
    count, size, floats = SIZES[kind]
    label = f"blocks.{kind}{label}"
    data = tokens(label, out * blocks, size, vocab=256).astype(np.uint8)
    for at in floats:
        scales = normal(f"{label}.{at}", out * blocks, 1).astype("<f2")
        data[:, at : at + 2] = scales.view(np.uint8)
    rows = data.reshape(out, -1)
    return Blocks(kind, (out, blocks * count), rows), numbers_of_blocks(kind, rows)


def coded_weight(
    bits: int, out: int, width: int, groups: int, *, zeros: bool, label: str = ""
) -> tuple[Blocks, NDArray[np.float64]]:
    """Codes of 4 or 8 bits, the first in the lowest, with a scale for each group.

    Args:
        bits: bits of a code.
        out: number of rows.
        width: number of codes in a row.
        groups: number of groups in a row.
        zeros: whether each group has a zero point, rather than half of the range.
        label: what tells one weight from another with the same options.

    Returns:
        The blocks, and the numbers in them ``(out, width)``.
    """
    label = f"codes.{bits}.{groups}.{zeros}{label}"
    codes = tokens(label, out, width, vocab=1 << bits)
    scales = normal(f"{label}.scales", out, groups).astype(np.float32)
    middles = tokens(f"{label}.zeros", out, groups, vocab=1 << bits)
    if not zeros:
        middles = np.full_like(middles, 1 << (bits - 1))
    packed = codes if bits == 8 else codes[:, ::2] | codes[:, 1::2] << 4  # noqa: PLR2004 - a byte
    blocks = Blocks(
        f"int{bits}",
        (out, width),
        packed.astype(np.uint8),
        scales,
        middles.astype(np.uint8) if zeros else None,
    )
    return blocks, numbers_of_codes(codes, scales, middles)
