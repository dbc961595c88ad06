"""Attention with a gradient of its own, for arrays that autograd traces.

Constraints: one pair of row and key head at a time, so that its scores stay in the processor's
cache; the weights are kept for the backward pass. A query that sees nothing gives zeros, a slot
that nobody sees is not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_numpy.gradients import differentiable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.contract.mandatory import Array

__all__ = ["attention"]


def _pairs(queries: Array, keys: Array) -> Iterator[tuple[int, int, slice]]:
    """(row, key head, the query heads that look at it)."""
    group = queries.shape[1] // keys.shape[1]
    for row in range(queries.shape[0]):
        for head in range(keys.shape[1]):
            yield row, head, slice(head * group, (head + 1) * group)


def _rows(x: Array) -> Array:
    """``(group, time, dim)`` as ``(group · time, dim)``."""
    return x.reshape(-1, x.shape[-1])


def _backward(g: Array, ans: Array, args: Any, saved: list[Any]) -> tuple[Array, ...]:
    """DS = P·(dP - Σ dP·P) for dP = g·Vᵀ; then scale·dS·K, scale·dSᵀ·Q and Pᵀ·g."""
    del ans
    queries, _, _, _, scale = args
    # the kept keys and values have zeros where nobody looked, so nothing here can meet their NaN
    keys, values, weights = saved
    size = queries.dtype.type(scale)
    d_queries, d_keys, d_values = (np.empty_like(x) for x in (queries, keys, values))
    for row, head, group in _pairs(queries, keys):
        p, above = _rows(weights[row, group]), _rows(g[row, group])
        np.dot(p.T, above, out=d_values[row, head])
        d = np.dot(above, values[row, head].T)
        # masked slots need no mask: their P is zero, and so is what it multiplies
        d -= np.einsum("ij,ij->i", d, p)[:, None]
        d *= p
        d *= size
        d_queries[row, group] = np.dot(d, keys[row, head]).reshape(d_queries[row, group].shape)
        np.dot(d.T, _rows(queries[row, group]), out=d_keys[row, head])
    return d_queries, d_keys, d_values


@differentiable(_backward)
def _attention(
    queries: Array,
    keys: Array,
    values: Array,
    mask: Array | None,
    scale: float,
    *,
    saved: list[Any],
) -> Array:
    shown = None if mask is None else np.broadcast_to(mask, (*queries.shape[:3], keys.shape[2]))
    if shown is not None:
        keys, values = _clean(keys, values, shown)
    weights = np.empty((*queries.shape[:3], keys.shape[2]), queries.dtype)
    out = np.empty((*queries.shape[:3], values.shape[-1]), values.dtype)
    size = queries.dtype.type(scale)
    # np.matmul over all heads would write every score to memory before the softmax reads it back
    for row, head, group in _pairs(queries, keys):
        scores = np.dot(_rows(queries[row, group]), keys[row, head].T)
        scores *= size
        p = _softmax(scores, None if shown is None else _rows(shown[row, group]))
        weights[row, group] = p.reshape(weights[row, group].shape)
        out[row, group] = np.dot(p, values[row, head]).reshape(out[row, group].shape)
    # contiguous, for the backward pass multiplies by them three times
    saved[:] = [np.ascontiguousarray(keys), np.ascontiguousarray(values), weights]
    return out


def _clean(keys: Array, values: Array, shown: Array) -> tuple[Array, Array]:
    """Zeros where no query sees a slot, whatever is there."""
    seen = shown.any(axis=(1, 2))
    if seen.all():
        return keys, values
    kept = seen[:, None, :, None]
    return np.where(kept, keys, 0), np.where(kept, values, 0)


def _softmax(scores: Array, shown: Array | None) -> Array:
    """The softmax of ``scores``, in place; zeros where masked, even in a row that is all masked."""
    if shown is not None:
        np.copyto(scores, -np.inf, where=~shown)
    largest = scores.max(axis=-1, keepdims=True)
    largest[largest == -np.inf] = 0  # -inf - -inf would be NaN; exp(-inf - 0) is the zero wanted
    scores -= largest
    np.exp(scores, out=scores)
    total = scores.sum(axis=-1, keepdims=True)
    total[total == 0] = 1
    scores /= total
    return scores


def attention(
    queries: Array, keys: Array, values: Array, mask: Array | None, scale: float
) -> Array:
    """softmax(scale · q·kᵀ) · v with grouped heads; see `OptionalOps.attention`."""
    return _attention(queries, keys, values, mask, scale)
