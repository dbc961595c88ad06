"""Gradients and norms beyond the numbers, extents and calls of the other cases, each exact."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.beyond import whole_numbers
from lmkernel_conformance.cases.case import case

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject


@case(level="gradients", id="beyond.remat", training=True)
def remat(s: Subject) -> None:
    """Gradients flow to each argument that is computed again, and back again."""
    ops: Any = s.ops
    w, x = np.array([2.0, -1.0, 4.0]), np.array([0.5, 3.0, -2.0])
    again = ops.remat(lambda t, y: {"z": t["w"] * y * y})
    total = ops.value_and_grad(lambda t: ops.sum(again({"w": t["w"]}, t["x"])["z"], 0))
    value, found = total({"w": s.array(w), "x": s.array(x)})
    s.equal("value", value, (w * x * x).sum(), s.dtype)
    s.equal("of the first", found["w"], x * x, s.dtype)
    s.equal("of the second", found["x"], 2 * w * x, s.dtype)


@case(level="gradients", id="beyond.kept", training=True)
def kept(s: Subject) -> None:
    """What one call gave is not changed by the next ones, nor by one that fails."""
    ops: Any = s.ops
    x, y = np.array([1.0, 2.0, -3.0]), np.array([4.0, -8.0, 0.5])

    fails: list[bool] = []

    def f(t: Any) -> tuple[Any, Any]:
        if fails:
            raise ValueError
        return ops.sum(t * t, 0), {"twice": t + t}

    both = ops.value_and_grad(f, aux=True)
    (value, aux), gradient = both(s.array(x))
    first = (gradient, both(s.array(y))[1])
    fails.append(True)
    with contextlib.suppress(ValueError):
        both(s.array(x))
    fails.clear()
    (again, more), last = both(s.array(y))
    for name, got, want in (
        ("value", value, (x * x).sum()),
        ("aux", aux["twice"], 2 * x),
        ("gradient", first[0], 2 * x),
        ("the next gradient", first[1], 2 * y),
        ("value after a failure", again, (y * y).sum()),
        ("aux after a failure", more["twice"], 2 * y),
        ("gradient after a failure", last, 2 * y),
    ):
        s.equal(name, got, want, s.dtype)


@case(level="gradients", id="beyond.largest", training=True)
def largest(s: Subject) -> None:
    """The gradient of a maximum goes to what is the largest, along long axes and to one number."""
    ops: Any = s.ops
    x = np.arange(80.0).reshape(2, 40)[:, ::-1] * np.array([[1.0], [-1.0]])
    f = ops.value_and_grad(lambda t: ops.sum(ops.reshape(ops.max(t, 1, keepdims=True), (-1,)), 0))
    s.equal("kept axis", f(s.array(x))[1], x == x.max(1, keepdims=True), s.dtype)
    g = ops.value_and_grad(lambda t: ops.sum(ops.maximum(t["x"], t["y"]), 0))
    row = np.array([1.0, 5.0, 2.0, 9.0])
    _, found = g({"x": s.array(row), "y": s.constant(3.0)})
    s.equal("of the row", found["x"], row > 3, s.dtype)  # noqa: PLR2004 - the number above
    s.equal("of the number", found["y"], 2.0, s.dtype)


@case(level="gradients", id="beyond.soft", training=True)
def soft_targets(s: Subject) -> None:
    """Soft targets need not sum to one; their sum is a factor of the softmax. To four digits."""
    target = np.array([[0.5, 0.0, 0.0, 0.0], [1.0, 0.5, 0.25, 0.25]])
    g = s.array(target)
    f = s.ops.value_and_grad(lambda x: s.ops.sum(s.ops.soft_cross_entropy(x, g), 0))
    want = target.sum(1, keepdims=True) / 4 - target
    got = s.host(f(s.array(np.zeros((2, 4))))[1])
    s.equal("gradient", np.round(got, 4), np.round(want, 4))


@case(level="gradients", id="beyond.rows", training=True)
def rows_of_ids(s: Subject) -> None:
    """A row's gradient counts how often ids of three axes name it."""
    ops: Any = s.ops
    ids = np.array([[[0, 2, 2], [1, 2, 4]], [[2, 2, 0], [4, 2, 2]]])
    f = ops.value_and_grad(lambda w: ops.sum(ops.reshape(ops.take_rows(w, s.array(ids)), (-1,)), 0))
    counts = np.bincount(ids.reshape(-1), minlength=5)[:, None]
    s.equal(
        "gradient", f(s.array(whole_numbers(5, 3)))[1], np.broadcast_to(counts, (5, 3)), s.dtype
    )


@case(level="training", id="beyond.global_norm", training=True)
def global_norm(s: Subject) -> None:
    """The norm of large numbers, and infinity where a square is."""
    big = 2.0 ** (27 if s.dtype == "float32" else 300)
    parts = [s.array(np.array([3.0]) * big), s.array(np.array([[4.0]]) * big)]
    s.equal("large", s.ops.global_norm(parts), 5 * big, s.dtype)
    over = 2.0 ** (100 if s.dtype == "float32" else 600)
    with np.errstate(over="ignore"):  # which is the point
        got = s.ops.global_norm([s.array(np.array([over, 1.0]))])
    s.equal("infinite", got, np.inf, s.dtype)
