"""Edges of meaning where gradients flow: axes from the end, ties, and trees of leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject


@trial(id="edges.concat")
def concat() -> Trial:
    """One, two, four and nine arrays along negative axes, of different extents."""
    inputs = {f"x{i}": normal(f"edges.concat.{i}", 2, 1 + i % 4, 3) for i in range(9)}

    def f(o: Any, t: dict[str, Any]) -> list[Any]:
        parts = [t[f"x{i}"] for i in range(9)]
        alike = [t["x0"], t["x4"], t["x8"], t["x0"]]
        return [
            o.concat(parts, -2),
            o.concat(alike, -1),
            o.concat(parts[:4], 1),
            o.concat(alike[:1], -3),
        ]

    return Trial(inputs=inputs, native=lambda s, t: f(s.ops, t), formula=f)


@trial(id="edges.permutations")
def permutations() -> Trial:
    """Cycles of three and of four axes, which are not their own inverse."""
    inputs = {"x": normal("edges.cycle.3", 2, 3, 4), "y": normal("edges.cycle.4", 2, 3, 4, 5)}
    turns = (("x", (1, 2, 0)), ("x", (2, 0, 1)), ("y", (1, 2, 3, 0)), ("y", (0, 2, 3, 1)))
    return Trial(
        inputs=inputs,
        native=lambda s, t: [s.ops.permute_dims(t[n], axes) for n, axes in turns],
        formula=lambda ar, t: [ar.transpose(t[n], axes) for n, axes in turns],
    )


@trial(id="edges.broadcasts")
def broadcasts() -> Trial:
    """One number, one row, one column, a cube of one: repeated along each axis and in front."""
    whole = (5, 3, 4)
    shapes = {"one": (1, 1), "row": (1, 4), "column": (3, 1), "cube": (1, 1, 1), "plane": (5, 1, 4)}
    return Trial(
        inputs={n: normal(f"edges.broadcast.{n}", *extents) for n, extents in shapes.items()},
        native=lambda s, t: [s.ops.broadcast_to(t[n], whole) for n in shapes],
        formula=lambda ar, t: [t[n] * np.ones(whole, ar.dtype) for n in shapes],
    )


@trial(id="edges.cache_update", rows=(25,))
def updates() -> Trial:
    """An update along any axis, counted from either end; gradients flow to buffer and values."""
    extents = {"buffer": (2, 6, 3), "first": (1, 6, 3), "middle": (2, 2, 3), "last": (2, 6, 2)}
    places = (("first", 1, 0), ("middle", 3, -2), ("last", 1, -1))

    def native(s: Subject, t: dict[str, Any]) -> list[Any]:
        # each update consumes its buffer, so each has one of its own
        made = [t["buffer"] * s.constant(1.0 + i) for i in range(len(places))]
        return [
            s.ops.cache_update(b, t[n], s.ops.asarray(start, "int32"), axis)
            for b, (n, start, axis) in zip(made, places, strict=True)
        ]

    def formula(ar: Any, t: dict[str, Any]) -> list[Any]:
        found = []
        for i, (n, start, axis) in enumerate(places):
            buffer, values = t["buffer"] * (1.0 + i), t[n]
            lead, stop = (slice(None),) * (axis % 3), start + extents[n][axis]
            parts = [buffer[(*lead, slice(0, start))], values, buffer[(*lead, slice(stop, None))]]
            found.append(ar.concat(parts, axis % 3))
        return found

    inputs = {n: normal(f"edges.update.{n}", *whole) for n, whole in extents.items()}
    return Trial(inputs=inputs, native=native, formula=formula)


@case(level="gradients", id="edges.max.gradient", training=True)
def gradient_of_max(s: Subject) -> None:
    """The gradient of a maximum goes to the largest; those that tie have equal shares of it."""
    ops, weights = s.ops, np.array([4.0, -8.0, 16.0])
    x = np.array([[1.0, 7.0, 3.0, 2.0], [5.0, 5.0, -5.0, 4.0], [9.0, 9.0, 9.0, 9.0]])
    share = np.array([[0, 1, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4])
    for axis, keepdims in ((1, False), (1, True), (0, False), (0, True)):
        rows, want = (x, share) if axis == 1 else (x.T.copy(), share.T)
        weigh = weights[:, None] if axis == 1 else weights[None]

        def total(y: Any, axis: int = axis, *, keepdims: bool = keepdims) -> Any:
            return ops.sum(
                ops.reshape(ops.max(y, axis, keepdims=keepdims), (-1,)) * s.array(weights), 0
            )

        f = ops.value_and_grad(total)
        for what, g in (("eager", f), ("compiled", ops.compile(f))):
            _, gradient = g(s.array(rows))
            s.equal(f"axis {axis}, keepdims {keepdims}, {what}", gradient, want * weigh, s.dtype)


@case(level="gradients", id="edges.larger.gradient", training=True)
def gradient_of_larger(s: Subject) -> None:
    """The gradient goes to the larger, or the smaller; at a tie, both shares add up to it."""
    ops = s.ops
    x, y = np.array([1.0, 2.0, 3.0, -1.0]), np.array([2.0, 2.0, 1.0, -1.0])
    weights = np.array([4.0, 8.0, 16.0, 32.0])
    for name, above in (("maximum", x > y), ("minimum", x < y)):
        f = ops.value_and_grad(lambda t: ops.sum(getattr(ops, name)(*t) * s.array(weights), 0))  # noqa: B023 - called at once
        _, (of_x, of_y) = f((s.array(x), s.array(y)))
        a, b = s.host(of_x), s.host(of_y)
        s.equal(f"{name}: together", a + b, weights)
        s.equal(f"{name}: apart", a[x != y], (weights * above)[x != y])
        s.demand(
            f"{name}: each a share", expected=True, got=bool((a >= 0).all() and (b >= 0).all())
        )


@case(level="gradients", id="edges.leaves", training=True)
def leaves(s: Subject) -> None:
    """One array in two places has a gradient for each; where it is closed over it is constant."""
    ops, x = s.ops, np.array([1.0, -2.0, 4.0])
    one = s.array(x)
    f = ops.value_and_grad(lambda t: ops.sum(t["a"] * t["b"][0] * t["b"][1][0] * one, 0))
    _, g = f({"b": (one, [one]), "a": one})
    s.demand(
        "structure", expected=(tuple, list, {"a", "b"}), got=(type(g["b"]), type(g["b"][1]), set(g))
    )
    for name, got in (("a", g["a"]), ("b, first", g["b"][0]), ("b, second", g["b"][1][0])):
        s.equal(name, got, x**3, s.dtype)
    s.equal("the array itself", one, x, s.dtype)


@case(level="gradients", id="edges.leaf_dtypes", dtypes=("float64",), training=True)
def leaf_dtypes(s: Subject) -> None:
    """Each leaf's gradient has its own dtype, where leaves of two dtypes meet through `astype`."""
    ops = s.ops
    f = ops.value_and_grad(lambda t: ops.sum(ops.astype(t["narrow"], "float64") * t["wide"], 0))
    narrow, wide = np.array([0.5, 3.0]), np.array([1 + 2.0**-40, -2.0])
    _, g = f({"narrow": ops.asarray(narrow, "float32"), "wide": ops.asarray(wide, "float64")})
    s.equal("narrow", g["narrow"], wide.astype(np.float32), "float32")
    s.equal("wide", g["wide"], narrow, "float64")
