"""Axes that shapes don't tell apart, and arguments that are very small or large; each exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.beyond import whole_numbers
from lmkernel_conformance.cases.case import case

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject


@case(level="operations", id="farther.axes")
def axes(s: Subject) -> None:
    """Each axis of arrays of three and four axes, all of one extent, counted from either end."""
    ops: Any = s.ops
    for rank in (3, 4):
        x = whole_numbers(*[3] * rank) + np.arange(3)
        indices = np.array([[2, 0], [1, 2]])
        given, chosen = s.array(x), s.array(indices)
        for axis in range(-rank, rank):
            at = f"axis {axis} of {rank}"
            s.equal(f"sum, {at}", ops.sum(given, axis), x.sum(axis), s.dtype)
            s.equal(f"max, {at}", ops.max(given, axis), x.max(axis), s.dtype)
            s.equal(f"mean, {at}", ops.mean(3 * given, axis), x.sum(axis), s.dtype)
            s.equal(f"argmax, {at}", ops.argmax(given, axis), x.argmax(axis), "int32")
            s.equal(f"take, {at}", ops.take(given, chosen, axis), x.take(indices, axis), s.dtype)
            three = [given, given + given, -given]
            want = np.concatenate([x, 2 * x, -x], axis)
            s.equal(f"concat, {at}", ops.concat(three, axis), want, s.dtype)
            steep = ops.softmax(64 * given, axis)
            rest = 64 * (x - x.max(axis, keepdims=True))
            shares = np.exp(rest) / np.exp(rest).sum(axis, keepdims=True)
            s.equal(f"softmax, {at}", np.round(s.host(steep) * 12), np.round(shares * 12))


@case(level="operations", id="farther.conditions")
def conditions(s: Subject) -> None:
    """Conditions and choices are repeated along any of their axes, where all extents are equal."""
    flags = np.array([True, False, False])
    shown = {"row": flags, "row of a matrix": flags[None], "column": flags[:, None]}
    square = whole_numbers(3, 3)
    choices = (square, square[:1], square[:, :1], square[0], square[0, 0])
    for name, condition in shown.items():
        for x in choices:
            for y in (square + 9, square[:1] + 9, square[:, :1] + 9):
                got = s.ops.where(s.array(condition), s.array(x), s.array(y))
                want = np.where(condition, x, y)
                s.equal(f"{name}, {x.shape} and {y.shape}", got, want, s.dtype)


@case(level="operations", id="farther.roots")
def roots(s: Subject) -> None:
    """Roots of squares, from the smallest to the largest; to five digits."""
    last = 63 if s.dtype == "float32" else 510
    powers = 2.0 ** np.arange(-last, last + 1)
    for factor in (1.0, 3.0):
        x = factor * powers[1:-3]
        got = s.host(s.ops.sqrt(s.array(x * x))).astype(float) / x
        s.equal(f"of {factor:g}", np.round(got, 5), np.ones(x.size))


@case(level="operations", id="farther.small")
def small(s: Subject) -> None:
    """Near zero functions go as their slopes do; to five digits."""
    ops: Any = s.ops
    size = 2.0 ** np.arange(-30.0, -9)
    x = np.concatenate([size, -size])
    slopes = {"sin": 1.0, "tanh": 1.0, "erf": 2 / np.sqrt(np.pi), "silu": 0.5, "gelu": 0.5}
    for name, slope in slopes.items():
        got = s.host(getattr(ops, name)(s.array(x))).astype(float) / (slope * x)
        # of the last two the next term is as large as x
        digits = 2 if name in ("silu", "gelu") else 5
        s.equal(name, np.round(got, digits), np.ones(x.size))
    near = s.host(ops.log(s.array(1 + size))).astype(float)
    seen = np.log1p(s.round(1 + size) - 1)
    s.equal("log", np.round(near[size > 2e-7] / seen[size > 2e-7], 3), np.ones((size > 2e-7).sum()))  # noqa: PLR2004 - the step of float32


@case(level="operations", id="farther.tails")
def tails(s: Subject) -> None:
    """Far out functions fall as an exponential does, and logarithms count powers; to two digits."""
    ops: Any = s.ops
    x = np.arange(8.0, 81.0)
    shares = s.host(ops.sigmoid(s.array(-x))).astype(float) * np.exp(x)
    s.equal("sigmoid", np.round(shares, 2), np.ones(x.size))
    silu = s.host(ops.silu(s.array(-x))).astype(float) * np.exp(x) / -x
    s.equal("silu", np.round(silu, 2), np.ones(x.size))
    counts = np.arange(-120.0, 121.0, 4)
    logs = s.host(ops.log(s.array(2.0**counts))).astype(float) / np.log(2)
    s.equal("log", np.round(logs, 2), counts)
