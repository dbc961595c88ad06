"""Packed weights, laid out as (in, out), which the CPU's matrix product reads in order.

Constraint: packing and unpacking are exact. Measured on SmolLM2-135M in float32, processor time for
a prompt of 33 tokens and 16 more: 3.6 s, against 4.8 s with products by a transposed (out, in).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import mlx.core as mx

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Delta

__all__ = ["PackedWeight", "linear", "pack_linear", "take_rows", "unpack_bits", "unpack_linear"]


@final
class PackedWeight:
    """A weight (out, in), stored as (in, out).

    Args:
        weight: weight as (out, in).
    """

    __slots__ = ("columns", "shape")

    def __init__(self, weight: Array) -> None:
        self.shape = weight.shape
        self.columns = mx.contiguous(mx.transpose(weight))
        mx.eval(self.columns)  # now, or the lazy graph would keep the original alive


def pack_linear(weight: Array) -> PackedWeight:
    """Copy a weight (out, in) to (in, out)."""
    return PackedWeight(weight)


def unpack_linear(weight: Array | PackedWeight) -> Array:
    """The weight as (out, in)."""
    return mx.transpose(_columns(weight))


def linear(
    x: Array, weight: Array | PackedWeight, bias: Array | None = None, delta: Delta | None = None
) -> Array:
    """One product over all leading axes, with the bias fused in."""
    rows = mx.reshape(x, (-1, x.shape[-1]))
    columns = _columns(weight)
    y = rows @ columns if bias is None else mx.addmm(bias, rows, columns)
    if delta is not None:
        y = mx.addmm(y, rows @ mx.transpose(delta[0]), mx.transpose(delta[1]))
    return mx.reshape(y, (*x.shape[:-1], weight.shape[0]))


def take_rows(weight: Array | PackedWeight, indices: Array) -> Array:
    """Rows of a weight, which are columns of a packed one."""
    if type(weight) is not PackedWeight:
        return mx.take(weight, indices, 0)
    return mx.moveaxis(mx.take(weight.columns, indices, 1), 0, -1)


def unpack_bits(x: Array, width: int, bits: int = 32) -> Array:
    """By shifts of unsigned words."""
    shifts = mx.arange(0, bits, width, dtype=mx.uint32)
    fields = mx.right_shift(mx.expand_dims(x.view(mx.uint32), -1), shifts) & ((1 << width) - 1)
    return mx.reshape(fields.astype(mx.int32), (*x.shape[:-1], -1))


def _columns(weight: Array | PackedWeight) -> Array:
    return weight.columns if type(weight) is PackedWeight else mx.transpose(weight)
