"""Element-wise functions, and softmax along every axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal, uniform
from lmkernel_conformance.oracle import activation

Host = Any

_BENDS = np.array([-5.3, -2.6, -2.0, -1.1, -0.3, 0.2, 0.9, 1.7, 2.0, 2.4, 5.1])
_FAR = np.array([-88.0, -30.0, -17.5, -9.25, 9.5, 16.0, 31.0, 88.0])


def _unary(name: str, x: Host) -> Trial:
    formula = getattr(activation, name)
    return Trial(
        inputs={"x": x},
        native=lambda s, t: getattr(s.ops, name)(t["x"]),
        formula=lambda ar, t: formula(ar, t["x"]),
    )


@trial(id="relu", op="relu")
def relu() -> Trial:
    """Positive part, away from the bend."""
    return _unary("relu", _BENDS)


@trial(id="silu", op="silu")
def silu() -> Trial:
    """Between the tails."""
    return _unary("silu", _BENDS)


@trial(id="silu.far", op="silu")
def silu_far() -> Trial:
    """Far out, where a naive sigmoid overflows."""
    return _unary("silu", _FAR)


@trial(id="gelu", op="gelu", rows=(17,))
def gelu() -> Trial:
    """About ±2 the tanh approximation differs by less than 1e-4, but far more than the budget."""
    return _unary("gelu", _BENDS)


@trial(id="gelu.far", op="gelu")
def gelu_far() -> Trial:
    """Far out: zero on the left, the identity on the right."""
    return _unary("gelu", _FAR)


@trial(id="gelu_tanh", op="gelu_tanh", rows=(17,))
def gelu_tanh() -> Trial:
    """The approximation is its own function, not the other one."""
    return _unary("gelu_tanh", _BENDS)


@trial(id="gelu_tanh.far", op="gelu_tanh")
def gelu_tanh_far() -> Trial:
    """Far out, where the cube is large."""
    return _unary("gelu_tanh", _FAR)


@trial(id="swiglu", op="swiglu")
def swiglu() -> Trial:
    """The first half gates the second; three axes."""
    return _unary("swiglu", normal("swiglu", 2, 3, 10, scale=2))


def _softmax(name: str, x: Host, axis: int) -> Trial:
    formula = getattr(activation, name)
    return Trial(
        inputs={"x": x},
        native=lambda s, t: getattr(s.ops, name)(t["x"], axis),
        formula=lambda ar, t: formula(ar, t["x"], axis),
    )


def _large() -> Host:
    """Numbers near 1000, spread along every axis."""
    return uniform("softmax.large", 3, 4, 5, low=-3, high=3) + 1000.0


@trial(id="softmax", op="softmax")
def softmax() -> Trial:
    """The last axis, by default."""
    return Trial(
        inputs={"x": normal("softmax", 3, 7, scale=2)},
        native=lambda s, t: s.ops.softmax(t["x"]),
        formula=lambda ar, t: activation.softmax(ar, t["x"]),
    )


@trial(id="softmax.large_logits.first", op="softmax", rows=(18,))
def softmax_large_first() -> Trial:
    """exp(1000) overflows; along the first axis."""
    return _softmax("softmax", _large(), 0)


@trial(id="softmax.large_logits.middle", op="softmax", rows=(18,))
def softmax_large_middle() -> Trial:
    """exp(1000) overflows; along a middle axis."""
    return _softmax("softmax", _large(), 1)


@trial(id="softmax.large_logits.last", op="softmax", rows=(18,))
def softmax_large_last() -> Trial:
    """exp(1000) overflows; along the last axis."""
    return _softmax("softmax", _large(), -1)


@trial(id="softmax.low_logits", op="softmax", rows=(18,))
def softmax_low() -> Trial:
    """exp(-1000) underflows; a sum of zeros would divide by zero."""
    return _softmax("softmax", _large() - 2000, 2)


@trial(id="softmax.one_of_many", op="softmax")
def softmax_wide() -> Trial:
    """One far above the others."""
    return _softmax("softmax", np.array([[-200.0, 3.0, 90.0, 2.0], [0.5, -0.5, 0.25, 60.0]]), 1)


@trial(id="log_softmax", op="log_softmax")
def log_softmax() -> Trial:
    """The last axis."""
    return _softmax("log_softmax", normal("log_softmax", 4, 6, scale=3), -1)


@trial(id="log_softmax.large_logits", op="log_softmax", rows=(18,))
def log_softmax_large() -> Trial:
    """exp(1000) overflows; along the first axis."""
    return _softmax("log_softmax", _large(), 0)


@trial(id="log_softmax.small_probability", op="log_softmax", rows=(18,))
def log_softmax_small() -> Trial:
    """The logarithm of a probability that underflows is finite."""
    return _softmax("log_softmax", np.array([[0.0, -150.0, 1.5, -1000.0]]), -1)
