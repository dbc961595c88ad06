"""Faster optional operations, in place, for arrays that no gradient flows through.

Constraint: an array that autograd traces takes a form with a gradient of its own (`gradients`), or
the composition where there is none.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_numpy import attention as own
from lmkernel_numpy import gradients
from lmkernel_numpy.accelerated import accelerated
from lmkernel_numpy.optimizer import adam_update, global_norm
from lmkernel_numpy.traces import is_traced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Cache, Delta, Ops

__all__ = ["overrides"]


def overrides(composed: Ops) -> Mapping[str, Callable[..., Any]]:
    """The overriding operations by name.

    Args:
        composed: the operations without any override, for traced arrays.
    """
    plain = (
        silu,
        swiglu,
        rotate,
        cache_attend,
        global_norm,
        adam_update,
    )
    table = {f.__name__: _dispatch_on_trace(f, getattr(composed, f.__name__)) for f in plain}
    table = {
        **table,
        "attention": _dispatch_on_trace(attention, functools.partial(_traced_attention, composed)),
        "linear": _dispatch_on_trace(linear, _traced_linear),
        "rms_norm": _dispatch_on_trace(rms_norm, gradients.rms_norm),
        "expert_linear": gradients.expert_linear,
        "layer_norm": gradients.layer_norm,
        "gelu_tanh": gradients.gelu_tanh,
        "cross_entropy": gradients.cross_entropy,
        "pack_linear": pack_linear,
        "unpack_bits": unpack_bits,
    }
    return {**table, **accelerated(composed, table)}


def _traced_attention(
    composed: Ops,
    queries: Array,
    keys: Array,
    values: Array,
    mask: Array | None,
    *,
    scale: float,
    bias: Array | None = None,
    softcap: float | None = None,
) -> Array:
    """One node, unless the scores are changed on the way."""
    if bias is None and softcap is None:
        return own.attention(queries, keys, values, mask, scale)
    return composed.attention(queries, keys, values, mask, scale=scale, bias=bias, softcap=softcap)


def _traced_linear(
    x: Array, weight: Array, bias: Array | None = None, delta: Delta | None = None
) -> Array:
    """One node; with a delta three, and the weight, which may be frozen, in the first."""
    y = gradients.linear(x, weight, *(() if bias is None else (bias,)))
    if delta is None:
        return y
    return y + gradients.linear(gradients.linear(x, delta[0]), delta[1])


def _dispatch_on_trace(
    fast: Callable[..., Any], composed: Callable[..., Any]
) -> Callable[..., Any]:
    """``composed`` for arrays that autograd traces, since it cannot follow writes in place."""

    @functools.wraps(fast)
    def dispatch(*args: Any, **options: Any) -> Any:
        return (composed if is_traced(*args, options) else fast)(*args, **options)

    return dispatch


def pack_linear(weight: Array) -> Array:
    """A copy, which NumPy puts into huge pages; a memory map's small ones are read more slowly."""
    return np.array(weight)


def unpack_bits(x: Array, width: int, bits: int = 32) -> Array:
    """By shifts; the bytes of a word are there as they lie."""
    if width == 8 and bits == 32 and sys.byteorder == "little":  # noqa: PLR2004 - bytes of words
        return np.ascontiguousarray(x).view(np.uint8).astype(np.int32)
    shifts = np.arange(0, bits, width, dtype=np.int32)
    fields = (x[..., None] >> shifts) & np.int32((1 << width) - 1)
    return fields.reshape(*x.shape[:-1], -1)


def linear(x: Array, weight: Array, bias: Array | None = None, delta: Delta | None = None) -> Array:
    """One product over all leading axes; the weight is read row by row, as it lies in memory."""
    rows = x.reshape(-1, x.shape[-1])
    y = np.dot(weight, rows[0]) if len(rows) == 1 else _products(rows, weight)
    if bias is not None:
        y += bias
    if delta is not None:
        y += ((rows @ delta[0].T) @ delta[1].T).reshape(y.shape)
    return y.reshape(*x.shape[:-1], weight.shape[0])


def _products(rows: Array, weight: Array) -> Array:
    """OpenBLAS takes a few rows faster as columns."""
    if len(rows) <= _FEW:
        return np.ascontiguousarray(np.dot(weight, rows.T).T)
    return np.dot(rows, weight.T)


_FEW = 16


def rms_norm(x: Array, weight: Array, eps: float) -> Array:
    """X / sqrt(mean(x²) + eps) · weight."""
    power = np.einsum("...i,...i->...", x, x)[..., None] / np.asarray(x.shape[-1], x.dtype)
    power += np.asarray(eps, x.dtype)
    y = x / np.sqrt(power, out=power)
    y *= weight
    return y


def silu(x: Array) -> Array:
    """X · σ(x) = x / (1 + exp(-x)); where exp overflows the quotient is 0, as it should be."""
    with np.errstate(over="ignore"):
        below = np.asarray(np.exp(-x))  # without axes NumPy gives a scalar
    below += 1
    return np.divide(x, below, out=below)


def swiglu(x: Array) -> Array:
    """The first half gates the second."""
    half = x.shape[-1] // 2
    y = silu(x[..., :half])
    y *= x[..., half:]
    return y


def rotate(x: Array, cos: Array, sin: Array) -> Array:
    """(a·cos - b·sin, b·cos + a·sin) of the two halves a, b, into one new array."""
    half = cos.shape[-1]
    a, b = x[..., :half], x[..., half : 2 * half]
    y = np.empty_like(x)
    np.multiply(a, cos, out=y[..., :half])
    y[..., :half] -= b * sin
    np.multiply(b, cos, out=y[..., half : 2 * half])
    y[..., half : 2 * half] += a * sin
    y[..., 2 * half :] = x[..., 2 * half :]
    return y


def attention(
    queries: Array,
    keys: Array,
    values: Array,
    mask: Array | None,
    *,
    scale: float,
    bias: Array | None = None,
    softcap: float | None = None,
) -> Array:
    """Slots that nobody sees are cleaned only where there are some."""
    if mask is not None:
        seen = mask.any(axis=(1, 2))
        if not seen.all():
            shown = seen[:, None, :, None]
            keys, values = np.where(shown, keys, 0), np.where(shown, values, 0)
    return _attend(queries, keys, values, mask, scale, bias, softcap)


def cache_attend(
    cache: Cache,
    queries: Array,
    mask: Array,
    *,
    extent: int,
    scale: float,
    bias: Array | None = None,
    softcap: float | None = None,
) -> Array:
    """A cache holds only what was computed, or zeros, so there is nothing to clean."""
    keys, values = cache["keys"][:, :, :extent], cache["values"][:, :, :extent]
    return _attend(queries, keys, values, mask, scale, bias, softcap)


_BLOCK = 64
"""Queries that are looked at together, so that their scores stay in the processor's cache."""


def _attend(
    queries: Array,
    keys: Array,
    values: Array,
    mask: Array | None,
    scale: float,
    bias: Array | None,
    softcap: float | None,
) -> Array:
    """Attention in blocks of queries; slots behind the last one that a block sees are left out.

    For a causal prompt that is nearly half of all products.
    """
    batch, heads, time, _ = queries.shape
    mask, bias = (_every_slot(x, keys.shape[2]) for x in (mask, bias))
    # scaling the queries costs ``head_dim`` products a query, scaling the scores one for each slot
    queries = queries * queries.dtype.type(scale)
    out = np.empty((batch, heads, time, values.shape[-1]), values.dtype)
    for begin in range(0, time, _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        shown = None if mask is None else _rows(mask, rows)
        extent = keys.shape[2] if shown is None else _extent(shown)
        out[:, :, rows] = _attend_block(
            queries[:, :, rows],
            keys[:, :, :extent],
            values[:, :, :extent],
            None if shown is None else shown[..., :extent],
            None if bias is None else _rows(bias, rows)[..., :extent],
            softcap,
        )
    return out


def _every_slot(x: Array | None, slots: int) -> Array | None:
    """What broadcasts along the slots, with all of them, so that some can be left out."""
    if x is None or x.shape[-1] == slots:
        return x
    return np.broadcast_to(x, (*x.shape[:-1], slots))


def _rows(x: Array, rows: slice) -> Array:
    """Some rows of what broadcasts to (batch, heads, time, slots)."""
    return x[:, :, rows] if x.shape[2] > 1 else x


def _extent(shown: Array) -> int:
    """One more than the last slot that any query sees; at least one."""
    seen = np.flatnonzero(shown.any(axis=(0, 1, 2)))
    return int(seen[-1]) + 1 if len(seen) else 1


def _attend_block(
    queries: Array,
    keys: Array,
    values: Array,
    mask: Array | None,
    bias: Array | None,
    softcap: float | None,
) -> Array:
    """Attention of one block; query heads of one group are stacked as rows."""
    batch, heads, time, head_dim = queries.shape
    kv_heads, slots = keys.shape[1:3]
    rows = queries.reshape(batch, kv_heads, -1, head_dim)
    scores = np.matmul(rows, keys.swapaxes(2, 3)).reshape(batch, heads, time, slots)
    if softcap is not None:
        cap = scores.dtype.type(softcap)
        scores = np.tanh(scores / cap) * cap
    if bias is not None:
        scores = scores + bias
    # dividing the result by the sums saves a pass over the scores, which are the larger array
    total = _exponentials(scores, mask)
    mixed = np.matmul(scores.reshape(batch, kv_heads, -1, slots), values)
    return mixed.reshape(batch, heads, time, -1) / total


def _exponentials(scores: Array, mask: Array | None) -> Array:
    """exp(score - largest) in place, zero where masked; returns the sums, 1 where all is masked."""
    if mask is None or mask.all():  # as in decoding without padding: two passes less
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        return scores.sum(axis=-1, keepdims=True)
    np.copyto(scores, -np.inf, where=~mask)
    largest = scores.max(axis=-1, keepdims=True)
    largest[largest == -np.inf] = 0  # -inf - -inf would be NaN; exp(-inf - 0) is the zero wanted
    scores -= largest
    np.exp(scores, out=scores)
    total = scores.sum(axis=-1, keepdims=True)
    total[total == 0] = 1
    return total
