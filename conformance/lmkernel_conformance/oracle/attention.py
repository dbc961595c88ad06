"""Attention, head by head, and the masks that follow from positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.tape import raw

if TYPE_CHECKING:
    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["attention", "visible"]

Host = Any


def visible(queries: Host, keys: Host, *, causal: bool, window: int | None = None) -> Host:
    """Which query sees which key, from their positions; -1 is nothing to be seen.

    ``(batch, time), (batch, slots) -> (batch, 1, time, slots)``.
    """
    mask = np.zeros((queries.shape[0], 1, queries.shape[1], keys.shape[1]), bool)
    for row, _, i, j in np.ndindex(mask.shape):
        q, k = int(queries[row, i]), int(keys[row, j])
        seen = k >= 0 and (k <= q or not causal)
        mask[row, 0, i, j] = seen and (window is None or abs(q - k) < window)
    return mask


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
) -> Host:
    """softmax(scale · q·kᵀ) · v (arXiv:1706.03762, eq. 1); query head h uses key head h // group.

    A query that sees nothing gives zeros, and what nobody sees counts for nothing.
    """
    heads, kv_heads = raw(queries).shape[1], raw(keys).shape[1]
    head = np.arange(heads) // (heads // kv_heads)
    keys, values = ar.take(keys, head, 1), ar.take(values, head, 1)
    shape = (*raw(queries).shape[:3], raw(keys).shape[2])
    shown: Host = np.ones(shape, bool) if mask is None else np.broadcast_to(mask, shape)
    seen = shown.any((1, 2))[:, None, :, None]
    keys, values = ar.where(seen, keys, 0.0), ar.where(seen, values, 0.0)
    scores = ar.narrow(ar.matmul(queries, ar.transpose(keys, (0, 1, 3, 2)))) * scale
    if softcap is not None:
        scores = softcap * ar.tanh(scores / softcap)
    if bias is not None:
        scores = scores + bias
    return ar.matmul(ar.narrow(_weights(ar, scores, shown)), values)


def _weights(ar: Arithmetic, scores: Host, shown: Host) -> Host:
    """Softmax over what is shown; zeros where nothing is."""
    any_shown = shown.any(-1, keepdims=True)
    top = np.where(shown, raw(scores), -np.inf).max(-1, keepdims=True)
    shifted = ar.where(shown, scores - np.where(any_shown, top, 0), 0.0)
    powers = ar.where(shown, ar.exp(shifted), 0.0)
    return powers / ar.where(any_shown, ar.sum(powers, -1, keepdims=True), 1.0)
