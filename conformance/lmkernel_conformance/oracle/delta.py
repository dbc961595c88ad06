"""The gated delta rule behind a short convolution, row by row and token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.activation import activate
from lmkernel_conformance.oracle.norm import dense, rms_norm
from lmkernel_conformance.oracle.tape import raw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["delta_attention", "delta_rule"]

Host = Any


def delta_rule(ar: Arithmetic, q: Host, k: Host, v: Host, decay: Host, correction: Host) -> Host:
    """What each token reads (arXiv:2412.06464, eq. 10): S ← αS + k·β(v - (αS)ᵀk), and Sᵀq.

    Args:
        ar: the arithmetic.
        q: queries, ``(time, heads, key size)``.
        k: keys in the same shape.
        v: values, ``(time, heads, value size)``.
        decay: α, ``(time, heads)``.
        correction: β, ``(time, heads)``.

    Returns:
        ``(time, heads, value size)``.
    """
    time, heads, size = raw(k).shape
    state, read = ar.full((heads, size, raw(v).shape[2]), 0.0), []
    for t in range(time):
        key, query = (ar.reshape(x[t : t + 1], (heads, size, 1)) for x in (k, q))
        value, alpha, beta = (
            ar.reshape(x[t : t + 1], (heads, 1, -1)) for x in (v, decay, correction)
        )
        state = ar.narrow(state * alpha)
        found = ar.sum(state * key, 1, keepdims=True)
        state = ar.narrow(state + key * ar.narrow((value - found) * beta))
        read.append(ar.reshape(ar.sum(state * query, 1), (1, heads, -1)))
    return ar.concat(read, 0)


def delta_attention(
    ar: Arithmetic, x: Host, p: Mapping[str, Host], name: str, config: Any, positions: Host
) -> Host:
    """A layer's attention of kind ``"delta"``: ``(batch, time, width)``, zeros at padding.

    Args:
        ar: the arithmetic.
        x: hidden vectors, ``(batch, time, width)``.
        p: parameters by dotted name.
        name: the prefix of the attention's parameters.
        config: the configuration of the attention.
        positions: positions, ``(batch, time)``; -1 is padding, which is passed over.
    """
    batch, time, width = raw(x).shape
    rows = []
    for i in range(batch):
        real = np.flatnonzero(np.asarray(positions[i]) >= 0)
        nothing = ar.full((1, width), 0.0)
        if len(real):
            row = ar.take(ar.reshape(x[i : i + 1], (time, width)), real)
            nothing = ar.concat([_row(ar, row, p, name, config), nothing], 0)
        places = np.full(time, len(real))
        places[real] = np.arange(len(real))
        rows.append(ar.reshape(ar.take(nothing, places), (1, time, width)))
    return ar.concat(rows, 0)


def _row(ar: Arithmetic, x: Host, p: Mapping[str, Host], name: str, config: Any) -> Host:
    """The same of one row without padding, ``(time, width)``."""
    d, heads = config.delta, config.heads
    time = raw(x).shape[0]
    inputs = dense(ar, x, p, f"{name}.mixed")
    before = ar.full((d.taps - 1, raw(inputs).shape[1]), 0.0)
    inputs, taps = ar.concat([before, inputs], 0), p[f"{name}.taps"]
    summed = inputs[:time] * taps[:, 0]
    for i in range(1, d.taps):
        summed = summed + inputs[i : i + time] * taps[:, i]
    mixed = activate(ar, summed, "silu")
    queries = _unit(ar, mixed[:, : d.keys], d, heads) * config.scale
    keys = _unit(ar, mixed[:, d.keys : 2 * d.keys], d, heads)
    values = ar.reshape(mixed[:, 2 * d.keys :], (time, heads, -1))
    step = dense(ar, x, p, f"{name}.decay") + p[f"{name}.decay_bias"]
    decay = ar.exp(-(ar.exp(p[f"{name}.decay_rate"]) * ar.log(ar.exp(step) + 1.0)))
    correction = ar.sigmoid(dense(ar, x, p, f"{name}.correction"))
    read = delta_rule(ar, queries, keys, values, decay, correction)
    normed = rms_norm(ar, read, p[f"{name}.norm.weight"] + d.norm.offset, d.norm.eps)
    gates = activate(ar, dense(ar, x, p, f"{name}.out_gate"), "silu")
    joined = ar.reshape(normed, (time, heads * config.head_dim)) * gates
    return dense(ar, joined, p, f"{name}.out")


def _unit(ar: Arithmetic, x: Host, d: Any, heads: int) -> Host:
    """Heads of length 1, each as often as values share it: ``(time, heads, size)``."""
    split = ar.reshape(x, (raw(x).shape[0], d.key_heads, d.key_dim))
    split = split / ar.sqrt(ar.sum(split * split, -1, keepdims=True) + d.eps)
    return ar.take(split, np.arange(heads) * d.key_heads // heads, 1)
