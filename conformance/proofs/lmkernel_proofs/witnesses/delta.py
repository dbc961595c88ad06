"""Witnesses of the gated delta rule: each read as a sum over what every token wrote."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel.config import AttentionConfig, DeltaConfig, NormConfig
from lmkernel_conformance.oracle import delta
from lmkernel_proofs.witnesses.activations import activate
from lmkernel_proofs.witnesses.norms import linear, rms_norm
from lmkernel_proofs.witnesses.point import Point, grid
from lmkernel_proofs.witnesses.precise import MP, exp, full, log, sigmoid

__all__ = ["POINTS"]

Host = Any

_DELTA = DeltaConfig(key_heads=1, key_dim=2, taps=3, norm=NormConfig(kind="rms", eps=1e-3))
_CONFIG = AttentionConfig(kind="delta", width=3, heads=2, head_dim=2, delta=_DELTA)
_WHERE = np.array([[0, 1, 2, 3], [-1, 0, -1, 1]])


def _rule(q: Host, k: Host, v: Host, decay: Host, correction: Host) -> Host:
    """What tokens write solves a triangular system, and a read weighs it (arXiv:2412.06464, §3.3).

    What token i writes is what its value is more than it finds of those before it.
    """
    time, heads, size = v.shape
    out = full((time, heads, size))
    for h in range(heads):

        def left(i: int, j: int, h: int = h) -> Any:
            return MP.fprod(decay[m, h] for m in range(j + 1, i + 1))

        written: list[Host] = []
        for i in range(time):
            found = sum(
                (left(i, j) * MP.fdot(k[i, h], k[j, h]) * written[j] for j in range(i)),
                full((size,)),
            )
            written.append(correction[i, h] * (v[i, h] - found))
            out[i, h] = sum(
                (left(i, j) * MP.fdot(q[i, h], k[j, h]) * written[j] for j in range(i + 1)),
                full((size,)),
            )
    return out


def _unit(x: Host, eps: float) -> Host:
    return x / MP.sqrt(MP.fdot(x, x) + MP.mpf(eps))


def _attention(t: dict[str, Host]) -> Host:
    """Each row's tokens alone, one channel and one head at a time."""
    c, d = _CONFIG, _DELTA
    out = full(t["x"].shape)
    for i, where in enumerate(_WHERE):
        real = np.flatnonzero(where >= 0)
        x = t["x"][i, real]
        given = linear(x, t["own.mixed.weight"])
        mixed = full(given.shape)
        for at, channel in np.ndindex(*given.shape):
            seen = [(j, at - d.taps + 1 + j) for j in range(d.taps)]
            mixed[at, channel] = MP.fsum(
                t["own.taps"][channel, j] * given[s, channel] for j, s in seen if s >= 0
            )
        mixed = activate(mixed, "silu")
        shape = (len(real), c.heads, d.key_dim)
        q, k = full(shape), full(shape)
        for at, h in np.ndindex(*shape[:2]):
            q[at, h] = _unit(mixed[at, : d.keys], d.eps) * MP.mpf(c.scale)
            k[at, h] = _unit(mixed[at, d.keys : 2 * d.keys], d.eps)
        v = mixed[:, 2 * d.keys :].reshape(len(real), c.heads, c.head_dim)
        steps = log(1 + exp(linear(x, t["own.decay.weight"]) + t["own.decay_bias"]))
        decay = exp(-exp(t["own.decay_rate"]) * steps)
        read = _rule(q, k, v, decay, sigmoid(linear(x, t["own.correction.weight"])))
        normed = rms_norm(read, t["own.norm.weight"], d.norm.eps)
        gates = activate(linear(x, t["own.out_gate.weight"]), "silu")
        out[i, real] = linear(normed.reshape(gates.shape) * gates, t["own.out.weight"])
    return out


POINTS: tuple[Point, ...] = (
    Point(
        id="delta.delta_rule",
        of=("delta.delta_rule",),
        how="a triangular system of what each token writes, and sums over it",
        inputs={
            "q": grid("delta.q", 4, 2, 2, low=-1, high=1),
            "k": grid("delta.k", 4, 2, 2, low=-1, high=1),
            "v": grid("delta.v", 4, 2, 3),
            "decay": grid("delta.decay", 4, 2, low=0.25, high=1),
            "correction": grid("delta.correction", 4, 2, low=0.25, high=1),
        },
        oracle=lambda ar, t: [delta.delta_rule(ar, **t)],
        witness=lambda t: [_rule(**t)],
    ),
    Point(
        id="delta.delta_attention",
        of=("delta.delta_attention",),
        how="each channel's sum over its taps, and the same system for each head",
        inputs={
            "x": grid("delta.x", 2, 4, 3),
            "own.mixed.weight": grid("delta.mixed", 8, 3, low=-1, high=1),
            "own.taps": grid("delta.taps", 8, 3, low=-1, high=1),
            "own.decay.weight": grid("delta.steps", 2, 3, low=-0.5, high=0.5),
            "own.decay_bias": grid("delta.bias", 2),
            "own.decay_rate": grid("delta.rate", 2, low=-1, high=1),
            "own.correction.weight": grid("delta.corrections", 2, 3, low=-1, high=1),
            "own.norm.weight": grid("delta.norm", 2),
            "own.out_gate.weight": grid("delta.gate", 4, 3, low=-1, high=1),
            "own.out.weight": grid("delta.out", 3, 4),
        },
        oracle=lambda ar, t: [delta.delta_attention(ar, t["x"], t, "own", _CONFIG, _WHERE)],
        witness=lambda t: [_attention(t)],
    ),
)
