"""Broken weights of few bits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_proofs.mutants.mutant import Mutant, optional

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.contract.blocks import Blocks

__all__ = ["MUTANTS"]

_BLOCK = 18
"""Bytes of a block of Q4_0: a scale of 16 bits and 32 nibbles."""


def scales_of_next_group(ops: Any, weight: Blocks, dtype: Any) -> Any:
    """Each group is scaled by the scale of the one after it."""
    if weight.scales is not None:
        weight = replace(weight, scales=np.roll(weight.scales, -1, 1))
    return ops.pack_blocks(weight, dtype)


def scales_of_next_block(ops: Any, weight: Blocks, dtype: Any) -> Any:
    """The scales of Q4_0's blocks are those of the blocks after them."""
    if weight.kind == "q4_0":
        codes = weight.codes.reshape(len(weight.codes), -1, _BLOCK).copy()
        codes[..., :2] = np.roll(codes[..., :2], -1, 1)
        weight = replace(weight, codes=codes.reshape(weight.codes.shape))
    return ops.pack_blocks(weight, dtype)


def zeros_off_by_one(ops: Any, weight: Blocks, dtype: Any) -> Any:
    """The zeros are one too large, as in the first GPTQ format, which stores them less one."""
    if weight.zeros is not None:
        weight = replace(weight, zeros=weight.zeros + np.uint8(1))
    return ops.pack_blocks(weight, dtype)


def nibbles_swapped(ops: Any, weight: Blocks, dtype: Any) -> Any:
    """The first of two codes in a byte is taken from the upper half."""
    if weight.kind == "int4":
        swapped = weight.codes << np.uint8(4) | weight.codes >> np.uint8(4)
        weight = replace(weight, codes=swapped)
    return ops.pack_blocks(weight, dtype)


def unsigned_scales(ops: Any, weight: Blocks, dtype: Any) -> Any:
    """A scale loses its sign."""
    if weight.scales is not None:
        weight = replace(weight, scales=np.abs(weight.scales))
    return ops.pack_blocks(weight, dtype)


def signed_words(ops: Any, x: Any, width: int, bits: int = 32) -> Any:
    """The highest byte of a word keeps the word's sign."""
    found = ops.unpack_bits(x, width, bits)
    if (width, bits) != (8, 32):
        return found
    return ops.where(found > ops.full((), 127, "int32"), found - ops.full((), 256, "int32"), found)


def highest_first(ops: Any, x: Any, width: int, bits: int = 32) -> Any:
    """The fields of a word come from its highest bits on."""
    each = bits // width
    found = ops.reshape(ops.unpack_bits(x, width, bits), (*x.shape, each))
    reverse = ops.asarray(np.arange(each)[::-1].copy(), "int32")
    return ops.reshape(ops.take(found, reverse, len(x.shape)), (*x.shape[:-1], -1))


def _of(name: str, defect: str, broken: Callable[..., Any]) -> Mutant:
    return Mutant(id=f"{name}.{defect}", level="operations", make=optional(name, broken))


MUTANTS = (
    _of("pack_blocks", "next_scale", scales_of_next_group),
    _of("pack_blocks", "next_block", scales_of_next_block),
    _of("pack_blocks", "zero_off_by_one", zeros_off_by_one),
    _of("pack_blocks", "nibbles_swapped", nibbles_swapped),
    _of("pack_blocks", "unsigned", unsigned_scales),
    _of("unpack_bits", "signed", signed_words),
    _of("unpack_bits", "highest_first", highest_first),
)
