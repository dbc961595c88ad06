"""Gradients where kernels take a short way: repeated columns, ties, products of zero, trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.beyond import whole_numbers
from lmkernel_conformance.cases.case import case

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject


@case(level="gradients", id="slopes.where.gradient", training=True)
def where(s: Subject) -> None:
    """What a condition repeats has the sum of the gradients where it was chosen."""
    ops: Any = s.ops
    condition = np.array([[1, 0, 1], [1, 1, 0]], bool)
    for shape in ((2, 1), (1, 3), (1, 1), (), (2, 3)):

        def f(t: Any) -> Any:
            y = ops.where(s.array(condition), t["x"], t["y"])
            return ops.sum(ops.reshape(y * s.array(_PROBE), (-1,)), 0)

        hosts = {name: whole_numbers(6)[: int(np.prod(shape))].reshape(shape) for name in "xy"}
        found = ops.value_and_grad(f)({name: s.array(host) for name, host in hosts.items()})[1]
        for name, chosen in (("x", condition), ("y", ~condition)):
            full = (1,) * (2 - len(shape)) + shape
            over = tuple(i for i, extent in enumerate(full) if extent == 1)
            want = (_PROBE * chosen).sum(over, keepdims=True).reshape(shape)
            s.equal(f"{name} of {shape}", found[name], want, s.dtype)


_PROBE = np.array([[1.0, 2.0, 4.0], [-8.0, 16.0, 32.0]])


@case(level="gradients", id="slopes.max.gradient", training=True)
def largest(s: Subject) -> None:
    """All that tie have equal shares of the gradient, two or many; to six digits."""
    ops: Any = s.ops
    for count in (1, 2, 3, 5, 8):
        x = np.full((2, 9), -1.0)
        x[0, :count] = x[1, 9 - count :] = 4.0
        found = ops.value_and_grad(lambda t: ops.sum(ops.max(t, 1), 0))(s.array(x))[1]
        shares = np.round(s.host(found).astype(float) * count, 6)
        s.equal(f"{count} alike", shares, (x > 0).astype(float))


@case(level="gradients", id="slopes.stopped.gradient", training=True)
def stopped(s: Subject) -> None:
    """No gradient flows through numbers without axes either, once they are stopped."""
    ops: Any = s.ops
    x = whole_numbers(5)
    found = ops.value_and_grad(lambda t: ops.sum(t, 0) * ops.stop_gradient(ops.sum(t, 0)))
    s.equal("of a sum", found(s.array(x))[1], np.full(5, x.sum()), s.dtype)
    once = ops.value_and_grad(lambda t: ops.stop_gradient(t) * t)
    s.equal("of a number", once(s.constant(3.0))[1], 3.0, s.dtype)


@case(level="gradients", id="slopes.trees.gradient", training=True)
def trees(s: Subject) -> None:
    """A gradient is built as its tree: long lists in their order, and branches without leaves."""
    ops: Any = s.ops
    many = [s.array(np.array(float(i))) for i in range(23)]

    def f(t: Any) -> Any:
        total = t["many"][0]
        for i, x in enumerate(t["many"]):
            total = total + x * s.constant(float(i))
        return total

    empty = {"none": {}, "empty": [], "inner": {"nothing": ()}}
    found = ops.value_and_grad(f)({"many": many, **empty})[1]
    want = np.arange(23.0)
    want[0] = 1
    for i, x in enumerate(found["many"]):
        s.equal(f"number {i}", x, want[i], s.dtype)
    rest = {name: part for name, part in found.items() if name != "many"}
    s.demand(
        "empty branches", expected={"none": {}, "empty": [], "inner": {"nothing": ()}}, got=rest
    )


@case(level="gradients", id="slopes.swiglu.gradient", training=True)
def swiglu(s: Subject) -> None:
    """Where what is gated is zero, its gradient is the gate's; to four digits of ½ · 64."""
    ops: Any = s.ops
    x = np.array([[64.0, 0.0, 0.0, 3.0], [0.0, 64.0, 5.0, 0.0]])
    found = ops.value_and_grad(lambda t: ops.sum(ops.reshape(ops.swiglu(t), (-1,)), 0))(s.array(x))
    want = [[0.0, 1.5, 64.0, 0.0], [2.5, 0.0, 0.0, 64.0]]
    s.equal("gradient", np.round(s.host(found[1]).astype(float), 4) + 0.0, want)


@case(level="gradients", id="slopes.layer_norm.gradient", training=True)
def constant_rows(s: Subject) -> None:
    """Rows of one number have gradients, too: they begin to differ. To four digits."""
    ops: Any = s.ops
    x, one = np.array([[5.0] * 4, [-2.0] * 4]), s.array(np.ones(4))

    def f(t: Any) -> Any:
        y = ops.layer_norm(t, one, None, 1 / 16)
        return ops.sum(ops.reshape(y * s.array(_FIRST), (-1,)), 0)

    found = s.host(ops.value_and_grad(f)(s.array(x))[1]).astype(float)
    # (e - mean of e) / √ε
    s.equal("gradient", np.round(found, 4), 4 * (_FIRST - _FIRST.mean(1, keepdims=True)))


_FIRST = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]])
