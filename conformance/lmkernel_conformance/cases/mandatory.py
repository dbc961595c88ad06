"""The mandatory tier's functions: values and gradients at asymmetric shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal, uniform

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel_conformance.subject import Subject

Host = Any


def _one(x: Host, native: Callable[[Any, Any], Any], formula: Callable[[Any, Any], Any]) -> Trial:
    return Trial(
        inputs={"x": x},
        native=lambda s, t: native(s.ops, t["x"]),
        formula=lambda ar, t: formula(ar, t["x"]),
    )


def _unary(name: str, x: Host) -> Trial:
    return _one(x, lambda o, x: getattr(o, name)(x), lambda ar, x: getattr(ar, name)(x))


@trial(id="exp")
def exp() -> Trial:
    """Arguments from very negative to very positive, without overflow."""
    return _unary("exp", np.array([-80.0, -9.5, -0.7, 0.3, 1.9, 12.25, 80.0]))


@trial(id="log")
def log() -> Trial:
    """Arguments from tiny to huge, and near 1, where the result is near 0."""
    return _unary("log", np.array([1e-30, 0.02, 0.75, 1.5, 3.0, 1e6, 1e30]))


@trial(id="sqrt")
def sqrt() -> Trial:
    """Positive arguments."""
    return _unary("sqrt", np.array([1e-30, 0.02, 0.7, 2.0, 3.0, 1e6, 1e30]))


@trial(id="cos")
def cos() -> Trial:
    """Angles as large as a long context's."""
    return _unary("cos", np.array([-7.0, -0.4, 0.9, 2.5, 31.0, 411.0, 5003.0]))


@trial(id="sin")
def sin() -> Trial:
    """Angles as large as a long context's."""
    return _unary("sin", np.array([-7.0, -0.4, 0.9, 2.5, 31.0, 411.0, 5003.0]))


@trial(id="tanh")
def tanh() -> Trial:
    """From the middle to saturation."""
    return _unary("tanh", np.array([-30.0, -4.0, -1.1, -0.2, 0.1, 0.8, 2.2, 9.0, 100.0]))


@trial(id="sigmoid")
def sigmoid() -> Trial:
    """Value and gradient are finite at ±100, where a naive one divides infinities."""
    x = np.array([-100.0, -80.0, -20.0, -3.3, -0.4, 0.2, 1.7, 6.0, 25.0, 100.0])
    return _unary("sigmoid", x)


@trial(id="erf")
def erf() -> Trial:
    """From the middle to saturation."""
    return _unary("erf", np.array([-6.0, -3.1, -1.4, -0.3, 0.05, 0.6, 1.9, 2.8, 4.0]))


@trial(id="minimum")
def minimum() -> Trial:
    """No ties; one side broadcasts."""
    return Trial(
        inputs={"x": normal("minimum.x", 3, 4), "y": normal("minimum.y", 4)},
        native=lambda s, t: s.ops.minimum(t["x"], t["y"]),
        formula=lambda ar, t: ar.where(_raw(t["x"]) < _raw(t["y"]), t["x"], t["y"]),
    )


@trial(id="maximum")
def maximum() -> Trial:
    """No ties; one side broadcasts."""
    return Trial(
        inputs={"x": normal("maximum.x", 3, 1), "y": normal("maximum.y", 3, 4)},
        native=lambda s, t: s.ops.maximum(t["x"], t["y"]),
        formula=lambda ar, t: ar.where(_raw(t["x"]) > _raw(t["y"]), t["x"], t["y"]),
    )


def _raw(x: Host) -> Host:
    return getattr(x, "value", x)


@trial(id="where")
def where() -> Trial:
    """All three broadcast."""
    condition = uniform("where", 2, 3, 1, low=-1, high=1) > 0
    return Trial(
        inputs={"x": normal("where.x", 3, 4), "y": normal("where.y", 1, 1, 4)},
        fixed={"condition": condition},
        native=lambda s, t: s.ops.where(t["condition"], t["x"], t["y"]),
        formula=lambda ar, t: ar.where(condition, t["x"], t["y"]),
    )


@trial(id="where.guarded_sqrt")
def guarded_root() -> Trial:
    """With its argument guarded, a root that is not chosen has a gradient of zero, not NaN."""
    x = np.array([-2.0, 0.0, 0.3, 4.0])
    shown = x > 0

    def native(s: Subject, t: dict[str, Any]) -> Any:
        ops, one, zero = s.ops, s.constant(1.0), s.constant(0.0)
        positive = t["x"] > zero
        return ops.where(positive, ops.sqrt(ops.where(positive, t["x"], one)), zero)

    return Trial(
        inputs={"x": x},
        native=native,
        formula=lambda ar, t: ar.where(shown, ar.sqrt(ar.where(shown, t["x"], 1.0)), 0.0),
    )


@trial(id="arithmetic")
def arithmetic() -> Trial:
    """The operators + - × ÷ and negation, with broadcasting both ways."""

    def f(_: Any, t: dict[str, Any]) -> Any:
        x, y = t["x"], t["y"]
        return (x + y) * x - y / (x * x + y * y) + (-x) / y

    return Trial(
        inputs={"x": normal("operators.x", 3, 1, 4), "y": uniform("y", 2, 1, low=0.5, high=2)},
        native=f,
        formula=f,
    )


@trial(id="slices")
def slices() -> Trial:
    """Basic slices with step 1, single indices and negative bounds."""

    def f(x: Any) -> list[Any]:
        return [x[1:, :2], x[..., -1], x[0], x[:, 1:-1]]

    return _one(normal("slices", 3, 4, 5), lambda _, x: f(x), lambda _, x: f(x))


@trial(id="sum.axes")
def sums() -> Trial:
    """Each axis, with and without ``keepdims``."""
    return _one(
        normal("sum", 3, 4, 5, shift=0.4),
        lambda o, x: [o.sum(x, 0), o.sum(x, 1, keepdims=True), o.sum(x, -1)],
        lambda ar, x: [ar.sum(x, 0), ar.sum(x, 1, keepdims=True), ar.sum(x, -1)],
    )


@case(level="operations", id="sum.integers", dtypes=("float32",))
def sums_of_integers(s: Subject) -> None:
    """Integers add up as integers, along each axis, with and without ``keepdims``."""
    x = np.arange(-5, 19).reshape(2, 3, 4)
    native = s.array(x)
    s.equal("first", s.ops.sum(native, 0), x.sum(0), "int32")
    s.equal("middle", s.ops.sum(native, 1, keepdims=True), x.sum(1, keepdims=True), "int32")
    s.equal("last", s.ops.sum(native, -1), x.sum(-1), "int32")


@trial(id="sum.long")
def sum_long() -> Trial:
    """Many numbers of one sign, where adding one by one drifts."""
    x = uniform("sum.long", 10007, low=0, high=1)
    return _one(x, lambda o, x: o.sum(x, 0), lambda ar, x: ar.sum(x, 0))


@trial(id="matmul")
def matmul() -> Trial:
    """Two axes, none equal."""
    return Trial(
        inputs={"x": normal("matmul.x", 3, 17), "y": normal("matmul.y", 17, 5)},
        native=lambda s, t: s.ops.matmul(t["x"], t["y"]),
        formula=lambda ar, t: ar.matmul(t["x"], t["y"]),
    )


@trial(id="matmul.broadcast")
def matmul_broadcast() -> Trial:
    """Leading axes broadcast, on either side."""
    return Trial(
        inputs={"x": normal("matmul.bx", 2, 1, 3, 7), "y": normal("matmul.by", 5, 7, 4)},
        native=lambda s, t: s.ops.matmul(t["x"], t["y"]),
        formula=lambda ar, t: ar.matmul(t["x"], t["y"]),
    )


@trial(id="shapes")
def shapes() -> Trial:
    """A reshape with -1, permute_dims that is no swap, broadcast_to, concat along two axes."""

    def native(o: Any, x: Any) -> list[Any]:
        turned = o.permute_dims(x, (2, 0, 1))
        wide = o.broadcast_to(o.reshape(x[0, 0], (1, 4, 1)), (3, 4, 2))
        return [o.reshape(turned, (3, -1)), wide, o.concat([x, x[:1]], 0), o.concat([x, x], -1)]

    def formula(ar: Any, x: Any) -> list[Any]:
        turned = ar.transpose(x, (2, 0, 1))
        wide = ar.reshape(x[0, 0], (1, 4, 1)) * np.ones((3, 4, 2), ar.dtype)
        parts = [ar.concat([x, x[:1]], 0), ar.concat([x, x], -1)]
        return [ar.reshape(turned, (3, -1)), wide, *parts]

    return _one(normal("shapes", 2, 3, 4), native, formula)


@trial(id="take")
def take() -> Trial:
    """Indices of two axes replace the axis; a repeated one adds up its gradients."""
    index = np.array([[2, 0], [2, 3], [1, 2]])
    return Trial(
        inputs={"x": normal("take", 3, 4, 5)},
        fixed={"i": index, "j": np.array([4, 4, 0])},
        native=lambda s, t: [s.ops.take(t["x"], t["i"], 1), s.ops.take(t["x"], t["j"], -1)],
        formula=lambda ar, t: [ar.take(t["x"], t["i"], 1), ar.take(t["x"], t["j"], -1)],
    )


@case(level="operations", id="max")
def maxima(s: Subject) -> None:
    """Each axis, with and without ``keepdims``; negative numbers."""
    x = normal("max", 3, 4, 5, shift=-9)
    native, host = s.array(x), s.round(x)
    s.equal("first", s.ops.max(native, 0), host.max(0), s.dtype)
    s.equal("middle", s.ops.max(native, 1, keepdims=True), host.max(1, keepdims=True), s.dtype)
    s.equal("last", s.ops.max(native, -1), host.max(-1), s.dtype)


@case(level="operations", id="argmax")
def argmax(s: Subject) -> None:
    """The first of several largest, as int32, along each axis."""
    x = np.array([[1.0, 7.0, 7.0, 2.0], [9.0, 7.0, 9.0, 9.0], [9.0, -1.0, 9.0, 9.5]])
    for axis in (0, 1, -1):
        s.equal(f"axis {axis}", s.ops.argmax(s.array(x), axis), x.argmax(axis), "int32")


@case(level="operations", id="comparisons", dtypes=("float32",))
def comparisons(s: Subject) -> None:
    """The comparisons, and & | ~ of booleans."""
    x, y = np.array([1.0, 2.0, 3.0, -1.0]), np.array([1.0, 3.0, 2.0, -2.0])
    a, b = s.array(x), s.array(y)
    s.equal("and", (a > b) & (a >= b), (x > y) & (x >= y), "bool")
    s.equal("or", (a < b) | (a == b), (x < y) | (x == y), "bool")
    s.equal("not", ~(a <= b), ~(x <= y), "bool")
    i = s.array(np.array([3, -1, 0]))
    s.equal("int32", i >= s.ops.full((), 0, "int32"), np.array([True, False, True]), "bool")
