"""Weights of few bits: how they lie on the device, and what they are as numbers.

Constraint: every number comes out as the correctly rounded float32 of its formula. A product of
scales and codes has 24 bits at most, so that it is exact, and a minimum is added in one rounding;
whatever a compiler makes of it, the bits are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.composed.block_kinds import GGUF_KINDS
from lmkernel.composed.codes import CODES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.blocks import Blocks
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops, PackedLinear

__all__ = ["pack_blocks", "unpack_bits"]

_SLAB = 1 << 20
"""Numbers of a weight that are expanded at a time."""
_WORD = 4


def pack_blocks(ops: Ops, weight: Blocks, dtype: DType) -> PackedLinear:
    """``{"kind/in/dtype": [words, scales?, zeros?]}``: what is static is in the key."""
    key = f"{weight.kind}/{weight.shape[1]}/{dtype}"
    arrays = [ops.asarray(_words(weight.codes), "int32")]
    if weight.scales is not None:
        arrays.append(ops.asarray(weight.scales, "float32"))
    if weight.zeros is not None:
        arrays.append(ops.asarray(_words(weight.zeros), "int32"))
    return {key: arrays}


def _words(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Rows of bytes as little-endian words, with zeros behind them."""
    padded = np.zeros((len(x), -(-x.shape[1] // _WORD) * _WORD), np.uint8)
    padded[:, : x.shape[1]] = x
    return padded.view("<i4").astype(np.int32, copy=False)


def unpack_bits(ops: Ops, x: Array, width: int, bits: int = 32) -> Array:
    """By halves: a quotient is rounded to float32, so what it is off by is put right after it."""
    if bits == width:
        return x
    half = bits // 2
    high = _quotient(ops, x, half, signed=bits == 32)  # noqa: PLR2004 - of an int32
    low = x - high * ops.full((), 1 << half, "int32")
    if bits == 32:  # noqa: PLR2004 - the sign bit is the highest of the upper half
        zero = ops.full((), 0, "int32")
        high = ops.where(high < zero, high + ops.full((), 1 << half, "int32"), high)
    fields = [
        ops.reshape(ops.unpack_bits(part, width, half), (*x.shape, -1)) for part in (low, high)
    ]
    joined = ops.concat(fields, len(x.shape))
    return ops.reshape(joined, (*x.shape[:-1], x.shape[-1] * (bits // width)))


def _quotient(ops: Ops, x: Array, shift: int, *, signed: bool) -> Array:
    """The floor of ``x / 2^shift``."""
    scaled = ops.astype(x, "float32") * ops.full((), 2.0**-shift, "float32")
    found = ops.astype(scaled, "int32")
    if not signed:
        return found
    one, rest = ops.full((), 1, "int32"), x - found * ops.full((), 1 << shift, "int32")
    found = ops.where(rest < ops.full((), 0, "int32"), found - one, found)
    return ops.where(rest < ops.full((), 1 << shift, "int32"), found, found + one)


def expand(ops: Ops, weight: dict[str, list[Array]]) -> Array:
    """The numbers of a handle, ``(out, in)``."""
    [(key, arrays)] = weight.items()
    kind, width, dtype = key.split("/")
    groups = arrays[1].shape[1] if len(arrays) > 1 else 0
    size = GGUF_KINDS[kind].row_bytes(int(width)) if kind in GGUF_KINDS else int(width)
    rows = arrays[0].shape[0]
    if kind in GGUF_KINDS:
        found = GGUF_KINDS[kind]
        data = ops.unpack_bits(arrays[0], 8, 32)[:, :size]
        values = found.expand(ops, ops.reshape(data, (-1, found.size)))
    else:
        coded = CODES[kind]
        data = ops.reshape(ops.unpack_bits(arrays[0], coded.bits, 32)[:, :size], (rows, groups, -1))
        zeros = ops.unpack_bits(arrays[2], 8, 32)[:, :groups] if len(arrays) > 2 else None  # noqa: PLR2004 - words, scales, zeros
        values = coded.expand(ops, data, arrays[1], zeros)
    return ops.astype(ops.reshape(values, (rows, int(width))), dtype)  # type: ignore[arg-type]  # the key has the name of a dtype


def handling_blocks(
    ops: Ops, table: Mapping[str, Callable[..., Any]]
) -> Mapping[str, Callable[..., Any]]:
    """The operations on packed weights, which take what `pack_blocks` gives besides.

    Args:
        ops: all operations, once they are put together.
        table: the operations that take other weights, by name.
    """
    plain, unpack, rows = table["linear"], table["unpack_linear"], table["take_rows"]

    def linear(x: Array, weight: Any, bias: Array | None = None, delta: Any | None = None) -> Array:
        if type(weight) is not dict:
            return plain(x, weight, bias, delta)
        y = _linear(ops, plain, x, weight)
        if bias is not None:
            y = y + bias
        return y if delta is None else y + plain(plain(x, delta[0]), delta[1])

    def unpack_linear(weight: Any) -> Array:
        return expand(ops, weight) if type(weight) is dict else unpack(weight)

    def take_rows(weight: Any, indices: Array) -> Array:
        if type(weight) is not dict:
            return rows(weight, indices)
        flat = ops.reshape(indices, (-1,))
        taken = {key: [ops.take(x, flat, 0) for x in arrays] for key, arrays in weight.items()}
        found = expand(ops, taken)
        return ops.reshape(found, (*indices.shape, found.shape[-1]))

    return {"linear": linear, "unpack_linear": unpack_linear, "take_rows": take_rows}


def _linear(
    ops: Ops, plain: Callable[..., Array], x: Array, weight: dict[str, list[Array]]
) -> Array:
    """The product, slab by slab of the weight's rows, each expanded as it is used."""
    [(key, arrays)] = weight.items()
    out, size = arrays[0].shape[0], max(1, _SLAB // int(key.split("/")[1]))
    if out <= size:
        return plain(x, expand(ops, weight))
    count = out // size
    slabs = [ops.reshape(part[: count * size], (count, size, -1)) for part in arrays]
    flat = ops.reshape(x, (-1, x.shape[-1]))

    def one(carry: Array, slab: list[Array]) -> tuple[Array, Array]:
        return carry, plain(flat, expand(ops, {key: slab}))

    _, products = ops.scan(one, ops.full((), 0, "int32"), slabs)
    y = ops.reshape(ops.permute_dims(products, (1, 0, 2)), (-1, count * size))
    if count * size < out:
        rest = {key: [part[count * size :] for part in arrays]}
        y = ops.concat([y, plain(flat, expand(ops, rest))], 1)
    return ops.reshape(y, (*x.shape[:-1], out))
