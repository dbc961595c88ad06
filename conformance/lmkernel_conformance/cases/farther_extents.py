"""Numbers of axes and extents that kernels take another way; each exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.beyond import whole_numbers
from lmkernel_conformance.cases.case import case

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject


@case(level="operations", id="farther.infinite")
def infinite(s: Subject) -> None:
    """Infinity is filled in, and is the largest of rows that have nothing else."""
    ops: Any = s.ops
    for value in (np.inf, -np.inf):
        s.equal(f"full of {value}", ops.full((2,), value, s.dtype), [value, value], s.dtype)
        row = np.array([[value] * 3, [1.0, 2.0, 3.0]])
        s.equal(f"max of {value}", ops.max(s.array(row), 1), [value, 3.0], s.dtype)


@case(level="operations", id="farther.few")
def few(s: Subject) -> None:
    """The largest of two, the element at an index without axes, and parts of nothing."""
    ops: Any = s.ops
    for row in ([1.0, 2.0], [2.0, 1.0], [3.0]):
        s.equal(f"argmax of {row}", ops.argmax(s.array(np.array(row)), 0), np.argmax(row), "int32")
    x = whole_numbers(3, 3, 3)
    for axis in range(-3, 3):
        got = ops.take(s.array(x), ops.asarray(1, "int32"), axis)
        s.equal(f"element along {axis}", got, x.take(1, axis), s.dtype)
    parts = [whole_numbers(n, 2) + i for i, n in enumerate((2, 0, 3, 1))]
    joined = ops.concat([s.array(part) for part in parts], 0)
    s.equal("with nothing between", joined, np.concatenate(parts), s.dtype)
    whole = np.arange(7) + 2**27 + 1
    s.equal("sum of integers", ops.sum(s.array(whole), 0), whole.sum(), "int32")


@case(level="operations", id="farther.wide")
def wide(s: Subject) -> None:
    """One row times many columns, and more outputs than a thousand, up to the last."""
    ops: Any = s.ops
    x, y = whole_numbers(1, 8), whole_numbers(8, 300)
    s.equal("row by matrix", ops.matmul(s.array(x), s.array(y)), x @ y, s.dtype)
    weight, bias = whole_numbers(1030, 8), whole_numbers(1030)
    rows = whole_numbers(2, 3, 8)
    got = ops.linear(s.array(rows), s.array(weight), s.array(bias))
    s.equal("outputs", got, rows @ weight.T + bias, s.dtype)


@case(level="operations", id="farther.ranks")
def ranks(s: Subject) -> None:
    """Norms and one-hot vectors of one to four axes; the term that is added may be large."""
    ops: Any = s.ops
    one, digits = s.array(np.ones(4)), 13 if s.dtype == "float64" else 5
    for rank in (1, 2, 3, 4):
        x = np.ones((*[2] * (rank - 1), 4)) * 2
        # 2 / √(4 + 12), and ±2 / √(4 + 12) about the mean; but for the last digits
        power = s.host(ops.rms_norm(s.array(x), one, 12.0)).astype(float)
        s.equal(f"power of {rank}", np.round(power, digits), x / 4)
        signs = x * np.array([1.0, -1.0, -1.0, 1.0])
        norm = s.host(ops.layer_norm(s.array(signs), one, one, 12.0)).astype(float)
        s.equal(f"norm of {rank}", np.round(norm, digits), signs / 4 + 1)
        ids = (np.arange(3**rank).reshape([3] * rank) * 2) % 5
        got = ops.one_hot(s.array(ids), 5, s.dtype)
        s.equal(f"one-hot of {rank}", got, np.eye(5)[ids], s.dtype)


@case(level="operations", id="farther.turns")
def turns(s: Subject) -> None:
    """Each row and each position turns by its own angle: not at all, by a quarter, by a half."""
    x = whole_numbers(4, 3, 5, 6)
    quarter = (np.arange(4)[:, None] + np.arange(5)[None] ** 2)[:, None, :, None] % 4
    quarter = quarter + np.array([0, 1])
    cos, sin = np.array([1.0, 0, -1, 0])[quarter % 4], np.array([0.0, 1, 0, -1])[quarter % 4]
    first, second, rest = x[..., :2], x[..., 2:4], x[..., 4:]
    want = np.concatenate([first * cos - second * sin, second * cos + first * sin, rest], -1)
    s.equal("turned", s.ops.rotate(s.array(x), s.array(cos), s.array(sin)), want, s.dtype)


@case(level="operations", id="farther.fresh")
def fresh(s: Subject) -> None:
    """Draws of two to four axes differ in every row."""
    ops: Any = s.ops
    key = ops.asarray([8, 1], "int32")
    for shape in ((6, 50), (3, 2, 50), (2, 3, 2, 25)):
        got = s.host(ops.random_uniform(key, shape, s.dtype)).reshape(-1, shape[-1])
        s.demand(f"rows of {shape}", expected=len(got), got=len(np.unique(got, axis=0)))


@case(level="operations", id="farther.heads")
def heads(s: Subject) -> None:
    """More heads than sixteen are all attended to, in groups or not."""
    v = 4 * whole_numbers(1, 20, 4, 3)
    q = s.array(np.zeros((1, 20, 2, 3)))
    for kv_heads in (20, 5):
        values = v[:, :kv_heads]
        keys = s.array(whole_numbers(1, kv_heads, 4, 3))
        got = s.ops.attention(q, keys, s.array(values), None, scale=1.0)
        want = values.mean(2, keepdims=True).repeat(20 // kv_heads, 1)
        s.equal(f"on {kv_heads}", got, np.broadcast_to(want, (1, 20, 2, 3)), s.dtype)


@case(level="operations", id="farther.shares")
def shares(s: Subject) -> None:
    """Soft targets count as much as they sum to; to five digits of a difference of 64."""
    target = np.array([[0.5, 0.0, 0.25, 0.0], [1.0, 1.0, 0.5, 0.0], [0.0] * 4])
    x = np.array([[0.0, 0.0, 64.0, 0.0]] * 3)
    got = s.host(s.ops.soft_cross_entropy(s.array(x), s.array(target))).astype(float)
    s.equal("losses", np.round(got, 3), [32.0, 128.0, 0.0])


@case(level="gradients", id="farther.casts.gradient", training=True)
def casts(s: Subject) -> None:
    """Gradients come back through casts to other floating dtypes, in the dtype that was given."""
    ops: Any = s.ops
    x = whole_numbers(6)
    for there in ("float32", "float64"):

        def f(t: Any, there: str = there) -> Any:
            y = ops.astype(t, there)
            return ops.sum(ops.astype(y * y, s.dtype), 0)

        s.equal(f"by {there}", ops.value_and_grad(f)(s.array(x))[1], 2 * x, s.dtype)


@case(level="gradients", id="farther.arguments.gradient", training=True)
def arguments(s: Subject) -> None:
    """However many arguments follow, the gradient is of the first alone."""
    ops: Any = s.ops
    values = [whole_numbers(5) + i for i in range(6)]

    def f(x: Any, *others: Any) -> Any:
        y = x * x
        for other in others:
            y = y * other
        return ops.sum(y, 0)

    for count in range(1, 6):
        given = [s.array(value) for value in values[:count]]
        want = 2 * np.prod(values[:count], axis=0)
        s.equal(f"{count} arguments", ops.value_and_grad(f)(*given)[1], want, s.dtype)


@case(level="gradients", id="farther.again.gradient", training=True)
def again(s: Subject) -> None:
    """What is computed again has the gradients of any number of axes, and of several results."""
    ops: Any = s.ops
    for rank in (1, 2, 3, 4):
        x = whole_numbers(*[2] * rank)

        def f(t: Any) -> Any:
            first, second = ops.remat(lambda y: (y * y, y + y))(t)
            return ops.sum(ops.reshape(first + second, (-1,)), 0)

        s.equal(f"{rank} axes", ops.value_and_grad(f)(s.array(x))[1], 2 * x + 2, s.dtype)
