"""The affine map, with weights in the orientation (out, in)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Delta, Ops, PackedLinear

__all__ = ["linear", "pack_linear", "take_rows", "unpack_linear"]


def pack_linear(_: Ops, weight: Array) -> PackedLinear:
    """The weight is its own handle."""
    return weight


def unpack_linear(_: Ops, weight: Array | PackedLinear) -> Array:
    """The handle is the weight."""
    return weight


def linear(
    ops: Ops,
    x: Array,
    weight: Array | PackedLinear,
    bias: Array | None = None,
    delta: Delta | None = None,
) -> Array:
    """x·Wᵀ + b + (x·aᵀ)·bᵀ, each as one matrix product over all leading axes."""
    rows = ops.reshape(x, (-1, x.shape[-1]))
    y = ops.matmul(rows, ops.permute_dims(weight, (1, 0)))
    if bias is not None:
        y = y + bias
    if delta is not None:
        y = y + ops.linear(ops.linear(rows, delta[0]), delta[1])
    return ops.reshape(y, (*x.shape[:-1], weight.shape[0]))


def take_rows(ops: Ops, weight: Array | PackedLinear, indices: Array) -> Array:
    """A gather along the first axis."""
    return ops.take(weight, indices, 0)
