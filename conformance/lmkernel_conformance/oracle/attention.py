"""Scaled dot-product attention with grouped heads, and the masks that follow from positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.tape import link, raw

if TYPE_CHECKING:
    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["attention", "visible"]

Host = Any


def visible(queries: Host, keys: Host, *, causal: bool, window: int | None = None) -> Host:
    """The mask that says which query sees which key: ``(batch, 1, time, slots)``, True if it does.

    Args:
        queries: the position of each query, ``(batch, time)``.
        keys: the position of each slot, ``(batch, slots)``; -1 is padding, which nobody sees.
        causal: whether a query sees no later position than its own.
        window: the number of positions that a query sees to a side, its own included.
    """
    q = np.asarray(queries, np.int64)[:, None, :, None]
    k = np.asarray(keys, np.int64)[:, None, None, :]
    mask = (k >= 0) & ((k <= q) | (not causal))
    if window is not None:
        mask = mask & (abs(q - k) < window)
    return np.broadcast_to(mask, (queries.shape[0], 1, queries.shape[1], keys.shape[1])).copy()


def attention(
    ar: Arithmetic,
    queries: Host,
    keys: Host,
    values: Host,
    mask: Host,
    *,
    scale: float,
    bias: Host = None,
    softcap: float | None = None,
    sinks: Host = None,
) -> Host:
    """softmax(scale · q·kᵀ) · v (arXiv:1706.03762, eq. 1); query head h uses key head h // group.

    A query that sees no key gives zeros.

    Args:
        ar: the arithmetic.
        queries: ``(batch, heads, time, width)``.
        keys: ``(batch, kv_heads, slots, width)``.
        values: ``(batch, kv_heads, slots, value_width)``.
        mask: what broadcasts to ``(batch, heads, time, slots)``, or None.
        scale: the factor of the products, before soft cap and bias.
        bias: what is added to the scores after the soft cap, or None.
        softcap: the bound of the scores, by tanh, or None.
        sinks: the score of nothing at all for each head, ``(heads,)``, which takes its share of the
            softmax (arXiv:2309.17453, §3); or None.
    """
    heads, kv_heads = raw(queries).shape[1], raw(keys).shape[1]
    head = np.arange(heads) // (heads // kv_heads)
    keys, values = ar.take(keys, head, 1), ar.take(values, head, 1)
    shape = (*raw(queries).shape[:3], raw(keys).shape[2])
    shown: Host = np.ones(shape, bool) if mask is None else np.broadcast_to(mask, shape)
    # A slot that no query sees may hold anything, NaN included, and NaN times a weight of zero is
    # NaN: it has to be replaced before the product, not masked after it.
    seen = shown.any((1, 2))[:, None, :, None]
    keys, values = ar.where(seen, keys, 0.0), ar.where(seen, values, 0.0)
    scores = ar.narrow(ar.matmul(queries, ar.transpose(keys, (0, 1, 3, 2)))) * scale
    if softcap is not None:
        scores = softcap * ar.tanh(scores / softcap)
    if bias is not None:
        scores = scores + bias
    if sinks is not None:
        alike = np.zeros((*shape[:3], 1))
        scores = ar.concat([scores, ar.reshape(sinks, (1, heads, 1, 1)) + alike], -1)
        shown = np.concatenate([shown, alike == 0], -1)
        nothing = np.zeros((shape[0], heads, 1, raw(values).shape[3]))
        values = ar.concat([values, ar.constant(nothing)], 2)
    weights = ar.narrow(_weights(ar, scores, shown))
    return (_mix if ar.other_formula else _product)(ar, scores, weights, values)


def _product(ar: Arithmetic, scores: Host, weights: Host, values: Host) -> Host:
    """The weighted sum of the values."""
    del scores
    return ar.matmul(weights, values)


def _mix(ar: Arithmetic, scores: Host, weights: Host, values: Host) -> Host:
    """The same, with the gradient that fused kernels take (arXiv:2205.14135, alg. 4).

    What softmax subtracts is summed over the output, not over the keys: w·(g·vᵀ - Σ g·output).
    """
    w, v = raw(weights), raw(values)
    output = ar.matmul(w, v)

    def to_scores(g: Host) -> Host:
        along = ar.sum(g * output, -1, keepdims=True)
        return w * (ar.matmul(g, np.swapaxes(v, -1, -2)) - along)

    def to_values(g: Host) -> Host:
        return ar.matmul(np.swapaxes(w, -1, -2), g)

    return link(ar, output, (scores, to_scores), (values, to_values))


def _weights(ar: Arithmetic, scores: Host, shown: Host) -> Host:
    """Softmax over the visible keys; zeros for a query that sees none."""
    # -inf as a score would give NaN for a row that sees nothing (inf - inf), so hidden scores are
    # left out of maximum, exponential and sum by selection.
    any_shown = shown.any(-1, keepdims=True)
    top = np.where(shown, raw(scores), -np.inf).max(-1, keepdims=True)
    shifted = ar.where(shown, scores - np.where(any_shown, top, 0), 0.0)
    powers = ar.where(shown, ar.exp(shifted), 0.0)
    return powers / ar.where(any_shown, ar.sum(powers, -1, keepdims=True), 1.0)
