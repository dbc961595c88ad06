"""Attention over grouped heads, and the contiguous KV cache that it reads.

Constraints: a query that sees nothing gives zeros with finite gradients; a slot that no query sees
is replaced by zeros before it is multiplied, so that NaN in it cannot leak.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.composed.precision import constant
from lmkernel.contract.capabilities import WIDE

if TYPE_CHECKING:
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Cache, Ops

__all__ = [
    "attention",
    "cache_append",
    "cache_attend",
    "cache_create",
    "cache_grow",
    "rotate",
]

_HIDDEN = -1e30
"""The score of a masked slot, in float32 or wider; its weight is set to zero afterwards."""


def rotate(ops: Ops, x: Array, cos: Array, sin: Array) -> Array:
    """RoPE: (a·cos - b·sin, b·cos + a·sin) of the halves a, b; what lies behind them is kept."""
    half = cos.shape[-1]
    a, b = x[..., :half], x[..., half : 2 * half]
    parts = [a * cos - b * sin, b * cos + a * sin]
    if x.shape[-1] > 2 * half:
        parts.append(x[..., 2 * half :])
    return ops.concat(parts, -1)


def attention(
    ops: Ops,
    queries: Array,
    keys: Array,
    values: Array,
    mask: Array | None,
    *,
    scale: float,
    bias: Array | None = None,
    softcap: float | None = None,
) -> Array:
    """Softmax attention; see `OptionalOps.attention`."""
    if mask is not None:
        keys, values = _clean(ops, keys, values, mask)
    batch, heads, time, head_dim = queries.shape
    kv_heads, slots = keys.shape[1], keys.shape[2]
    # Query heads that share a key head (GQA) become rows of one product, so keys and values are
    # read once for the group and never repeated in memory.
    rows = ops.reshape(queries, (batch, kv_heads, heads // kv_heads * time, head_dim))
    products = ops.matmul(rows, ops.permute_dims(keys, (0, 1, 3, 2)))
    # scaled in float32: 16 bits would round scores before the exponential magnifies the error
    scores = ops.reshape(_wide(ops, products), (batch, heads, time, slots))
    scores = scores * constant(ops, scale, scores)
    if softcap is not None:
        cap = constant(ops, softcap, scores)
        scores = ops.tanh(scores / cap) * cap
    weights = _weights(ops, scores if bias is None else scores + _wide(ops, bias), mask)
    weights = ops.reshape(ops.astype(weights, ops.dtype(values)), (*rows.shape[:3], slots))
    return ops.reshape(ops.matmul(weights, values), (batch, heads, time, values.shape[-1]))


def _wide(ops: Ops, x: Array) -> Array:
    narrow = ops.dtype(x)
    return ops.astype(x, WIDE[narrow]) if narrow in WIDE else x


def _weights(ops: Ops, scores: Array, mask: Array | None) -> Array:
    """Softmax over the slots that the mask shows; zeros where it shows none."""
    if mask is None:
        return ops.softmax(scores, -1)
    # A finite score, not -inf: in a row that sees nothing -inf - -inf would be NaN, and a NaN in
    # the branch that `where` discards still poisons the gradient.
    scores = ops.where(mask, scores, constant(ops, _HIDDEN, scores))
    # the maximum cancels from the quotient, so its gradient is zero and need not be computed
    powers = ops.exp(scores - ops.stop_gradient(ops.max(scores, -1, keepdims=True)))
    # where nothing is seen, every score is the maximum and its power 1: these must go, too
    powers = ops.where(mask, powers, constant(ops, 0.0, scores))
    total = ops.sum(powers, -1, keepdims=True)
    zero, one = constant(ops, 0.0, scores), constant(ops, 1.0, scores)
    return powers / ops.where(total > zero, total, one)


def _clean(ops: Ops, keys: Array, values: Array, mask: Array) -> tuple[Array, Array]:
    """Keys and values with zeros in the slots that no query of the row sees."""
    # a weight of zero does not hide NaN, for 0 · NaN is NaN: the values themselves must be replaced
    shown = ops.astype(mask, "int32")
    for axis in (1, 2):
        shown = ops.max(shown, axis, keepdims=True)
    seen = ops.permute_dims(shown, (0, 1, 3, 2)) > ops.full((), 0, "int32")
    zero = constant(ops, 0.0, keys)
    return ops.where(seen, keys, zero), ops.where(seen, values, zero)


def cache_create(
    ops: Ops, batch: int, kv_heads: int, head_dim: int, capacity: int, dtype: DType
) -> Cache:
    """One contiguous buffer each for keys and values, ``(batch, kv_heads, capacity, head_dim)``."""
    shape = (batch, kv_heads, capacity, head_dim)
    return {"keys": ops.full(shape, 0.0, dtype), "values": ops.full(shape, 0.0, dtype)}


def cache_append(ops: Ops, cache: Cache, keys: Array, values: Array, start: Array) -> Cache:
    """Both buffers updated at the same slots."""
    return {
        "keys": ops.cache_update(cache["keys"], keys, start, 2),
        "values": ops.cache_update(cache["values"], values, start, 2),
    }


def cache_attend(
    ops: Ops,
    cache: Cache,
    queries: Array,
    mask: Array,
    *,
    extent: int,
    scale: float,
    bias: Array | None = None,
    softcap: float | None = None,
) -> Array:
    """Attention over a slice of the buffers."""
    keys, values = cache["keys"][:, :, :extent], cache["values"][:, :, :extent]
    return ops.attention(queries, keys, values, mask, scale=scale, bias=bias, softcap=softcap)


def cache_grow(ops: Ops, cache: Cache, capacity: int) -> Cache:
    """Zeros appended to both buffers."""
    return {name: _extend(ops, buffer, capacity) for name, buffer in cache.items()}


def _extend(ops: Ops, buffer: Array, capacity: int) -> Array:
    batch, heads, slots, width = buffer.shape
    more = ops.full((batch, heads, capacity - slots, width), 0.0, ops.dtype(buffer))
    return ops.concat([buffer, more], 2)
