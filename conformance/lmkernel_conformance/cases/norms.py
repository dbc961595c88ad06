"""Means and normalisation: small variance, a large mean, weights far from one."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal, uniform
from lmkernel_conformance.oracle import norm

Host = Any


def _layer_norm(x: Host, eps: float, *, bias: bool = True) -> Trial:
    width = x.shape[-1]
    inputs = {"x": x, "weight": uniform("layer_norm.weight", width, low=-2, high=3)}
    if bias:
        inputs["bias"] = normal("layer_norm.bias", width)
    return Trial(
        inputs=inputs,
        native=lambda s, t: s.ops.layer_norm(t["x"], t["weight"], t.get("bias"), eps),
        formula=lambda ar, t: norm.layer_norm(ar, t["x"], t["weight"], t.get("bias"), eps),
    )


def _rms_norm(x: Host, eps: float) -> Trial:
    weight = uniform("rms_norm.weight", x.shape[-1], low=-2, high=3)
    return Trial(
        inputs={"x": x, "weight": weight},
        native=lambda s, t: s.ops.rms_norm(t["x"], t["weight"], eps),
        formula=lambda ar, t: norm.rms_norm(ar, t["x"], t["weight"], eps),
    )


@trial(id="mean.first", op="mean")
def mean_first() -> Trial:
    """Along the first axis, which goes."""
    return Trial(
        inputs={"x": normal("mean", 5, 3, shift=2)},
        native=lambda s, t: s.ops.mean(t["x"], 0),
        formula=lambda ar, t: ar.mean(t["x"], 0),
    )


@trial(id="mean.kept", op="mean")
def mean_keepdims() -> Trial:
    """Along a middle axis, which stays."""
    return Trial(
        inputs={"x": normal("mean", 2, 7, 3, shift=2)},
        native=lambda s, t: s.ops.mean(t["x"], 1, keepdims=True),
        formula=lambda ar, t: ar.mean(t["x"], 1, keepdims=True),
    )


@trial(id="layer_norm", op="layer_norm", rows=(13,))
def layer_norm() -> Trial:
    """Width 8, where the unbiased variance is 8/7 of the biased one."""
    return _layer_norm(normal("layer_norm", 2, 3, 8), 1e-5)


@trial(id="layer_norm.no_bias", op="layer_norm")
def layer_norm_no_bias() -> Trial:
    """Without a bias; an odd width."""
    return _layer_norm(normal("layer_norm.no_bias", 4, 7), 1e-5, bias=False)


@trial(id="layer_norm.low_variance", op="layer_norm", rows=(12, 14))
def layer_norm_low_variance() -> Trial:
    """Variance about 1e-6: where ε stands, and its value, decide."""
    return _layer_norm(normal("layer_norm.low", 3, 8, scale=1e-3), 1e-6)


@trial(id="layer_norm.large_epsilon", op="layer_norm", rows=(14,))
def layer_norm_large_epsilon() -> Trial:
    """An ε that is nobody's default."""
    return _layer_norm(normal("layer_norm.eps", 3, 8, scale=0.1), 3e-3)


@trial(id="layer_norm.large_mean", op="layer_norm", rows=(15,))
def layer_norm_large_mean() -> Trial:
    """Mean 1000, unit variance: a one-pass variance cancels."""
    return _layer_norm(normal("layer_norm.mean", 3, 8, shift=1000.0), 1e-5)


@trial(id="rms_norm", op="rms_norm", rows=(16,))
def rms_norm() -> Trial:
    """Weights far from one, some negative."""
    return _rms_norm(normal("rms_norm", 2, 3, 9, shift=0.5), 1e-5)


@trial(id="rms_norm.low_power", op="rms_norm", rows=(12, 14))
def rms_norm_low_power() -> Trial:
    """Mean square about 1e-6: where ε stands, and its value, decide."""
    return _rms_norm(normal("rms_norm.low", 3, 8, scale=1e-3), 1e-6)


@trial(id="rms_norm.large_epsilon", op="rms_norm", rows=(14,))
def rms_norm_large_epsilon() -> Trial:
    """An ε that is nobody's default."""
    return _rms_norm(normal("rms_norm.eps", 3, 8, scale=0.1), 3e-3)


@trial(id="rms_norm.large_values", op="rms_norm")
def rms_norm_large() -> Trial:
    """Values about 1e4, which nothing is subtracted from."""
    return _rms_norm(normal("rms_norm.large", 3, 11, scale=1e4), 1e-6)


@trial(id="rms_norm.zeros", op="rms_norm", gradients=False)
def rms_norm_zeros() -> Trial:
    """A row of zeros stays zeros."""
    return _rms_norm(np.zeros((2, 5)), 1e-6)
