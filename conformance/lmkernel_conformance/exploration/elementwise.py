"""Properties of element-wise functions, and of operands that broadcast."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.trial import Trial
from lmkernel_conformance.exploration.draw import host
from lmkernel_conformance.exploration.property import Property, trial_property
from lmkernel_conformance.oracle import activation
from lmkernel_conformance.oracle.tape import raw

if TYPE_CHECKING:
    from lmkernel_conformance.exploration.draw import Draw, Example

__all__ = ["PROPERTIES"]

Host = Any

_RANGES = {
    "exp": (-80.0, 80.0),
    "log": (1e-30, 1e30),
    "sqrt": (1e-30, 1e30),
    "cos": (-1e4, 1e4),
    "sin": (-1e4, 1e4),
    "tanh": (-1e3, 1e3),
    "sigmoid": (-100.0, 100.0),
    "erf": (-10.0, 10.0),
    "relu": (-1e6, 1e6),
    "silu": (-88.0, 88.0),
    "gelu": (-30.0, 30.0),
    "gelu_tanh": (-30.0, 30.0),
}
"""The arguments that each function is tried on."""


def _draw_values(d: Draw, low: float, high: float) -> Example:
    count = d.integer(1, 6)
    return {"axes": d.integer(1, 4), "values": [d.number(low, high) for _ in range(count)]}


def _values(drawn: Example) -> Host:
    x = np.array(drawn["values"])
    return x.reshape((1,) * (drawn["axes"] - 1) + x.shape)


def _function(name: str, low: float, high: float) -> Property:
    def make(drawn: Example) -> Trial:
        return Trial(
            inputs={"x": _values(drawn)},
            native=lambda s, t: getattr(s.ops, name)(t["x"]),
            formula=lambda ar, t: (
                getattr(activation, name)(ar, t["x"])
                if hasattr(activation, name)
                else getattr(ar, name)(t["x"])
            ),
        )

    return trial_property(name, lambda d: _draw_values(d, low, high), make)


def _draw_swiglu(d: Draw) -> Example:
    shape = [*d.shape(0, 3), 2 * d.integer(1, 6)]
    return {"x": d.array(shape, scales=(1.0, 30.0), shifts=(0.0, 5.0))}


def _swiglu(drawn: Example) -> Trial:
    return Trial(
        inputs={"x": host("x", drawn["x"])},
        native=lambda s, t: s.ops.swiglu(t["x"]),
        formula=lambda ar, t: activation.swiglu(ar, t["x"]),
    )


def _draw_pair(d: Draw) -> Example:
    shape = d.shape(1, 4)
    return {name: d.array(d.broadcastable(shape)) for name in ("x", "y")}


def _extreme(name: str, drawn: Example) -> Trial:
    less = name == "minimum"
    return Trial(
        inputs={n: host(n, drawn[n]) for n in ("x", "y")},
        native=lambda s, t: getattr(s.ops, name)(t["x"], t["y"]),
        formula=lambda ar, t: ar.where(
            (raw(t["x"]) < raw(t["y"])) == less, t["x"] + 0 * t["y"], t["y"] + 0 * t["x"]
        ),
    )


def _draw_where(d: Draw) -> Example:
    shape = d.shape(1, 4)
    pair = {name: d.array(d.broadcastable(shape)) for name in ("x", "y")}
    condition = d.broadcastable(shape)
    return {**pair, "condition": d.integers(condition, 0, 1), "shape": condition}


def _where(drawn: Example) -> Trial:
    shown = np.array(drawn["condition"], bool).reshape(drawn["shape"])
    return Trial(
        inputs={n: host(n, drawn[n]) for n in ("x", "y")},
        fixed={"condition": shown},
        native=lambda s, t: s.ops.where(t["condition"], t["x"], t["y"]),
        formula=lambda ar, t: ar.where(shown, t["x"], t["y"]),
    )


def _arithmetic(drawn: Example) -> Trial:
    def f(_: Any, t: dict[str, Any]) -> list[Any]:
        x, y = t["x"], t["y"]
        return [x + y, x - y, x * y, x / y, -x]

    return Trial(inputs={n: host(n, drawn[n]) for n in ("x", "y")}, native=f, formula=f)


PROPERTIES = (
    *(_function(name, low, high) for name, (low, high) in _RANGES.items()),
    trial_property("swiglu", _draw_swiglu, _swiglu),
    *(
        trial_property(name, _draw_pair, functools.partial(_extreme, name))
        for name in ("minimum", "maximum")
    ),
    trial_property("where", _draw_where, _where),
    trial_property("arithmetic", _draw_pair, _arithmetic),
)
