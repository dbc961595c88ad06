"""Faster forms of optional operations, in place, for arrays that no gradient flows through.

Constraint: an array that autograd traces takes the composition, so gradients are the composition's.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from autograd.tracer import isbox

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
    plain = (linear, rms_norm, silu, swiglu, rotate, attention, cache_attend)
    return {f.__name__: _guarded(f, getattr(composed, f.__name__)) for f in plain}


def _guarded(fast: Callable[..., Any], composed: Callable[..., Any]) -> Callable[..., Any]:
    """``fast`` if all arguments are plain, else the composition."""

    @functools.wraps(fast)
    def chosen(*args: Any, **options: Any) -> Any:
        traced = any(map(_traced, args)) or any(map(_traced, options.values()))
        return (composed if traced else fast)(*args, **options)

    return chosen


def _traced(value: Any) -> bool:
    """Whether autograd follows an argument, or a part of it."""
    if isinstance(value, dict):
        return any(map(isbox, value.values()))
    return isbox(value) or (isinstance(value, tuple) and any(map(isbox, value)))


def linear(x: Array, weight: Array, bias: Array | None = None, delta: Delta | None = None) -> Array:
    """One product over all leading axes; the weight is read row by row, as it lies in memory."""
    rows = x.reshape(-1, x.shape[-1])
    y = np.dot(rows, weight.T) if len(rows) > 1 else np.dot(weight, rows[0])
    if bias is not None:
        y += bias
    if delta is not None:
        y += (rows @ delta[0].T) @ delta[1].T
    return y.reshape(*x.shape[:-1], weight.shape[0])


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
        below = np.exp(-x)
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


def _attend(
    queries: Array,
    keys: Array,
    values: Array,
    mask: Array | None,
    scale: float,
    bias: Array | None,
    softcap: float | None,
) -> Array:
    batch, heads, time, head_dim = queries.shape
    kv_heads, slots = keys.shape[1:3]
    dtype = queries.dtype.type
    rows = (queries * dtype(scale)).reshape(batch, kv_heads, -1, head_dim)
    scores = np.matmul(rows, keys.swapaxes(2, 3)).reshape(batch, heads, time, slots)
    if softcap is not None:
        np.tanh(scores / dtype(softcap), out=scores)
        scores *= dtype(softcap)
    if bias is not None:
        scores = scores + bias
    _softmax(scores, mask)
    mixed = np.matmul(scores.reshape(batch, kv_heads, -1, slots), values)
    return mixed.reshape(batch, heads, time, values.shape[-1])


def _softmax(scores: Array, mask: Array | None) -> None:
    """In place over the last axis; zeros where the mask shows nothing."""
    if mask is not None:
        np.copyto(scores, -np.inf, where=~mask)
    largest = scores.max(axis=-1, keepdims=True)
    if mask is not None:
        largest[largest == -np.inf] = 0
    scores -= largest
    np.exp(scores, out=scores)
    total = scores.sum(axis=-1, keepdims=True)
    if mask is not None:
        total[total == 0] = 1
    scores /= total
