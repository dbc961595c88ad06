"""Failures that `lmkernel_conformance.exploration` found on a backend, in their smallest form."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal
from lmkernel_conformance.oracle import activation, norm

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any


@case(level="operations", id="random_uniform.each_word", rows=(30,))
def each_word(s: Subject) -> None:
    """Keys that differ in one word alone, in its lowest bit or its highest, draw differently."""
    ops: Any = s.ops
    keys = [(0, 0), (1, 0), (2**30, 0), (0, 1), (0, 2**30), (2**31 - 2, 7), (2**31 - 1, 7)]
    draws = {k: s.host(ops.random_uniform(ops.asarray(k, "int32"), (64,), s.dtype)) for k in keys}
    for one, other in combinations(keys, 2):
        shared = int((draws[one] == draws[other]).sum())
        s.demand(f"{one} and {other}: at most one equal draw", expected=True, got=shared <= 1)


@case(level="operations", id="asarray.layouts")
def layouts(s: Subject) -> None:
    """Host arrays may be reversed, transposed or strided, and copied or not."""
    ops: Any = s.ops
    x = s.round(normal("asarray.layouts", 4, 6))
    views = {"backwards": x[::-1], "across": x.T, "in steps": x[:, ::3], "both": x.T[::-2]}
    for copy in (True, False):
        for name, view in views.items():
            got = ops.asarray(view, s.dtype, copy=copy)
            s.equal(f"{name}, copy={copy}", got, view, s.dtype)


@trial(id="take.one_index")
def take_one() -> Trial:
    """An index of no axes removes the axis."""
    index = np.array(2)
    return Trial(
        inputs={"x": normal("take.one", 3, 4, 5)},
        fixed={"i": index},
        native=lambda s, t: [s.ops.take(t["x"], t["i"], axis) for axis in (0, 1, -1)],
        formula=lambda ar, t: [ar.take(t["x"], index, axis) for axis in (0, 1, -1)],
    )


@trial(id="broadcast_to.axes_in_front")
def axes_in_front() -> Trial:
    """Broadcasting adds axes in front; the gradient is summed over them."""
    shape = (2, 3, 4)

    def whole(ar: Any, x: Host) -> Host:
        return x * np.ones(shape, ar.dtype)

    return Trial(
        inputs={"none": normal("broadcast.none"), "one": normal("broadcast.one", 3, 1)},
        native=lambda s, t: [s.ops.broadcast_to(t[n], shape) for n in ("none", "one")],
        formula=lambda ar, t: [whole(ar, t[n]) for n in ("none", "one")],
    )


@trial(id="elementwise.no_axes")
def no_axes() -> Trial:
    """A 0-d input, for which some libraries return a Python number instead of an array."""
    formulas = {"relu": activation.relu, "silu": activation.silu, "gelu": activation.gelu}
    formulas |= {"gelu_tanh": activation.gelu_tanh}
    return Trial(
        inputs={"x": normal("no_axes")},
        native=lambda s, t: [getattr(s.ops, name)(t["x"]) for name in formulas],
        formula=lambda ar, t: [f(ar, t["x"]) for f in formulas.values()],
    )


@trial(id="linear.delta.one_vector", op="linear")
def delta_of_one_vector() -> Trial:
    """A vector of no further axes, with a low-rank addition."""
    shapes = {"x": (7,), "weight": (5, 7), "a": (2, 7), "b": (5, 2)}
    return Trial(
        inputs={name: normal(f"delta.one.{name}", *shape) for name, shape in shapes.items()},
        native=lambda s, t: s.ops.linear(t["x"], t["weight"], None, (t["a"], t["b"])),
        formula=lambda ar, t: norm.linear(ar, t["x"], t["weight"], None, (t["a"], t["b"])),
    )


@trial(id="matmul.one_for_all")
def one_for_all() -> Trial:
    """One matrix for a whole stack, with as many axes or fewer, on either side."""
    shapes = {"x": (2, 1, 9, 7), "y": (1, 1, 7, 1), "z": (7, 5), "u": (3, 9)}

    def f(o: Any, t: dict[str, Any]) -> list[Any]:
        stack = o.matmul(t["x"], t["z"])
        return [o.matmul(t["x"], t["y"]), stack, o.matmul(t["u"], stack)]

    return Trial(
        inputs={name: normal(f"one_for_all.{name}", *shape) for name, shape in shapes.items()},
        native=lambda s, t: f(s.ops, t),
        formula=f,
    )
