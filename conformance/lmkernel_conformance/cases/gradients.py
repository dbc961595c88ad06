"""The contract's rules for gradients: structure, dtype, unused leaves, stopped gradients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.inputs import normal
from lmkernel_conformance.oracle import activation
from lmkernel_conformance.oracle.tape import gradient

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any


@case(level="gradients", id="trees", training=True)
def trees(s: Subject) -> None:
    """Gradients have the tree of the inputs, whatever the order of its keys."""
    ops = s.ops
    tree = {
        "z": s.array(np.array([1.0, 2.0])),
        "a": [s.array(np.array([3.0])), (s.array(np.array([[4.0]])),)],
    }

    def f(t: Any, factor: Any) -> Any:
        return ops.sum(t["z"] * factor, 0) * ops.sum(t["a"][0], 0) + ops.sum(t["a"][1][0], 0)[0]

    value, g = ops.value_and_grad(f)(tree, s.array(np.array([2.0, 5.0])))
    s.equal("value", value, 40.0, s.dtype)
    s.equal("z", g["z"], [6.0, 15.0], s.dtype)
    s.equal("a.0", g["a"][0], [12.0], s.dtype)
    s.equal("a.1.0", g["a"][1][0], [[1.0]], s.dtype)


@case(level="gradients", id="aux", training=True)
def aux(s: Subject) -> None:
    """Auxiliary outputs come back unchanged and are not differentiated."""
    ops = s.ops
    x = s.array(np.array([1.5, -2.0]))

    def f(t: Any) -> Any:
        return ops.sum(t["x"] * t["x"], 0), {
            "double": t["x"] + t["x"],
            "n": ops.full((), 3, "int32"),
        }

    for compiled in (False, True):
        g = ops.value_and_grad(f, aux=True)
        (value, beside), gradients = (ops.compile(g) if compiled else g)({"x": x})
        s.equal("value", value, 6.25, s.dtype)
        s.equal("beside", beside["double"], [3.0, -4.0], s.dtype)
        s.equal("an integer beside", beside["n"], 3, "int32")
        s.equal("gradient", gradients["x"], [3.0, -4.0], s.dtype)


@case(level="gradients", id="unused", training=True)
def unused_leaf(s: Subject) -> None:
    """A leaf that is not used gets zeros in its own shape and dtype."""
    ops = s.ops
    tree = {"used": s.array(np.array([1.5, -2.0])), "idle": s.array(normal("idle", 3, 2))}
    _, g = ops.value_and_grad(lambda t: ops.sum(t["used"] * t["used"], 0))(tree)
    s.equal("used", g["used"], [3.0, -4.0], s.dtype)
    s.equal("idle", g["idle"], np.zeros((3, 2)), s.dtype)


@case(level="gradients", id="nothing_used", training=True)
def no_leaf(s: Subject) -> None:
    """A value that depends on no leaf has a gradient of zeros."""
    ops = s.ops
    value, g = ops.value_and_grad(lambda _: s.constant(2.5))({"x": s.array(np.ones((2, 3)))})
    s.equal("value", value, 2.5, s.dtype)
    s.equal("x", g["x"], np.zeros((2, 3)), s.dtype)


@case(level="gradients", id="stop_gradient", training=True)
def stop_gradient(s: Subject) -> None:
    """No gradient flows through ``stop_gradient``; other paths are unaffected."""
    ops, x = s.ops, np.array([2.0, -3.0])
    _, g = ops.value_and_grad(lambda t: ops.sum(ops.stop_gradient(t) * t, 0))(s.array(x))
    s.equal("gradient", g, x, s.dtype)


@case(level="gradients", id="mixed_dtypes", training=True, dtypes=("float32",))
def leaves_of_two_dtypes(s: Subject) -> None:
    """Each leaf's gradient has its own dtype, through astype."""
    ops = s.ops
    tree = {"narrow": s.array(np.array([1.5])), "wide": ops.asarray([2.0], "float64")}

    def f(t: Any) -> Any:
        return ops.sum(ops.astype(t["narrow"], "float64") * t["wide"], 0)

    value, g = ops.value_and_grad(f)(tree)
    s.equal("value", value, 3.0, "float64")
    s.equal("narrow", g["narrow"], [2.0], "float32")
    s.equal("wide", g["wide"], [1.5], "float64")


@case(level="gradients", id="integers_inside", training=True)
def integers_inside(s: Subject) -> None:
    """An integer inside, such as an index computed from a value, carries no gradient."""
    ops, x = s.ops, np.array([0.5, 3.0, 1.0])

    def f(t: Any) -> Any:
        best = ops.reshape(ops.argmax(t, 0), (1,))
        return ops.sum(ops.take(t, best, 0) * ops.astype(best, s.dtype), 0)  # type: ignore[arg-type]  # declared by the backend

    value, g = ops.value_and_grad(f)(s.array(x))
    s.equal("value", value, 3.0, s.dtype)
    s.equal("gradient", g, [0.0, 1.0, 0.0], s.dtype)


@case(level="gradients", id="relu.at_zero", training=True)
def relu_at_zero(s: Subject) -> None:
    """The gradient of relu at 0 is 0."""
    ops, x = s.ops, np.array([-1.0, 0.0, 2.0])
    _, g = ops.value_and_grad(lambda t: ops.sum(ops.relu(t), 0))(s.array(x))
    s.equal("gradient", g, [0.0, 0.0, 1.0], s.dtype)


@case(level="gradients", id="softmax.at_ties", training=True, rows=(18,))
def softmax_at_ties(s: Subject) -> None:
    """Where several are largest, the maximum that is subtracted still cancels from the gradient."""
    ops, x = s.ops, np.array([2.0, 2.0, 2.0, 2.0])
    first = np.array([1.0, 0.0, 0.0, 0.0])
    weights = s.array(first)
    _, g = ops.value_and_grad(lambda t: ops.sum(ops.softmax(t, 0) * weights, 0))(s.array(x))

    def formula(ar: Any) -> Host:
        inputs, probe = {"x": ar.constant(x)}, ar.constant(first)
        return gradient(ar, lambda t: [activation.softmax(ar, t["x"], 0)], inputs, [probe])["x"]

    s.agree("gradient", g, formula)


@case(level="gradients", id="scan", training=True)
def scan(s: Subject) -> None:
    """The gradient through a loop, to its first state, its inputs and its closure.

    h' = w·h + x from h₀ over three steps: ∂h₃/∂h₀ = w³, ∂h₃/∂w = 3w²h₀ + 2w·x₁ + x₂.
    """
    ops = s.ops
    w, h, xs = 0.5, 3.0, (1.0, -2.0, 4.0)
    tree = {"w": s.constant(w), "h": s.constant(h), "x": s.array(np.array(xs))}

    def f(t: Any, *, reverse: bool) -> Any:
        step = lambda c, x: (t["w"] * c + x, c)  # noqa: E731 - one expression
        return ops.scan(step, t["h"], t["x"], reverse=reverse)[0]

    for reverse in (False, True):
        a, b, _ = xs[::-1] if reverse else xs
        _, g = ops.value_and_grad(lambda t, r=reverse: f(t, reverse=r))(tree)
        s.equal(f"h, reverse={reverse}", g["h"], w**3, s.dtype)
        s.equal(f"w, reverse={reverse}", g["w"], 3 * w * w * h + 2 * w * a + b, s.dtype)
        powers = np.array([w * w, w, 1.0])
        s.equal(f"x, reverse={reverse}", g["x"], powers[::-1] if reverse else powers, s.dtype)


@case(level="gradients", id="compiled", training=True, rows=(28,))
def compiled_gradient(s: Subject) -> None:
    """A compiled gradient is the eager one, within the budget."""
    ops, x = s.ops, normal("gradient.compiled", 3, 4)
    step = ops.value_and_grad(lambda t: ops.sum(ops.reshape(ops.tanh(t * t), (-1,)), 0))
    value, g = ops.compile(step)(s.array(x))
    host = s.round(x)
    s.agree("value", value, lambda ar: _sum_of_tanh(ar, ar.constant(host)))
    s.agree("gradient", g, lambda ar: _slope(ar, host))


def _sum_of_tanh(ar: Any, x: Host) -> Host:
    return ar.sum(ar.reshape(ar.tanh(x * x), (-1,)), 0)


def _slope(ar: Any, host: Host) -> Host:
    leaves = {"x": ar.constant(host)}
    return gradient(ar, lambda t: [_sum_of_tanh(ar, t["x"])], leaves, [ar.full((), 1.0)])["x"]


@case(level="gradients", id="remat", training=True)
def remat(s: Subject) -> None:
    """Gradient checkpointing (``remat``) changes neither the value nor the gradient."""
    ops, x = s.ops, np.array([0.25, -1.5, 0.75])
    f = ops.remat(lambda t: {"y": t["x"] * t["x"] * t["x"]})
    total = ops.value_and_grad(lambda t: ops.sum(f(t)["y"], 0))
    value, g = total({"x": s.array(x)})
    s.equal("value", value, math.fsum(x**3), s.dtype)
    s.equal("gradient", g["x"], 3 * x * x, s.dtype)


@case(level="gradients", id="dropout", training=True)
def dropout(s: Subject) -> None:
    """Dropped elements have a gradient of 0, the others one of 1 / (1 - rate)."""
    ops, x = s.ops, s.array(np.full((6, 7), 2.0))
    key, rate = ops.asarray([3, 4], "int32"), 0.5
    kept = s.host(ops.dropout(x, key, rate)) != 0
    f = lambda t: ops.sum(ops.reshape(ops.dropout(t, key, rate), (-1,)), 0)  # noqa: E731 - one expression
    s.equal("gradient", ops.value_and_grad(f)(x)[1], kept * 2.0, s.dtype)
