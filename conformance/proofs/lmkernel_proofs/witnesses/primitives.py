"""Witnesses of the arithmetic and of its derivatives: mpmath's functions, and sums by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.tape import link, raw
from lmkernel_proofs.witnesses.point import Point, grid
from lmkernel_proofs.witnesses.precise import MP, cos, erf, exp, full, log, sin, sqrt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["POINTS"]

Host = Any

_MIDDLE = grid("middle", 9, low=-3, high=3)
_POSITIVE = np.array([2.0**-40, 0.03125, 0.75, 1.015625, 3.0, 1e6, 2.0**80])
_ANGLES = np.array([-7.0, -0.40625, 0.90625, 2.5, 31.0, 411.0, 5003.0])


def _unary(name: str, x: Host, witness: Callable[[Host], Host], how: str) -> Point:
    return Point(
        id=f"primitive.{name}",
        of=(f"arithmetic.Arithmetic.{name}",),
        how=how,
        inputs={"x": x},
        oracle=lambda ar, t: [getattr(ar, name)(t["x"])],
        witness=lambda t: [witness(t["x"])],
    )


def _elementwise() -> Iterator[Point]:
    saturated = np.array([-700.0, -40.0, -18.5, 21.0, 45.0, 710.0])
    yield _unary("exp", np.append(_MIDDLE, [-80.0, 80.0]), exp, "mpmath's exponential")
    yield _unary("log", _POSITIVE, log, "mpmath's logarithm")
    yield _unary("sqrt", _POSITIVE, lambda x: exp(log(x) / 2), "exp(log(x) / 2)")
    yield _unary("cos", _ANGLES, cos, "mpmath's cosine")
    yield _unary("sin", _ANGLES, sin, "mpmath's sine")
    yield _unary("tanh", np.append(_MIDDLE, [-19.0, 24.0, 30.0]), _tanh, "(e²ˣ - 1) / (e²ˣ + 1)")
    yield _unary(
        "sigmoid", np.append(_MIDDLE, saturated), lambda x: 1 / (1 + exp(-x)), "1 / (1 + e⁻ˣ)"
    )
    yield _unary("erf", np.append(_MIDDLE, [-5.5, 0.015625]), erf, "mpmath's error function")


def _tanh(x: Host) -> Host:
    return (exp(2 * x) - 1) / (exp(2 * x) + 1)


def _operators(_: Any, t: dict[str, Host]) -> list[Host]:
    """Each operator with a traced array on either side, and with a plain one."""
    x, y = t["x"], t["y"]
    three = 3.0
    return [
        x + y, three + x, x - y, three - x, -x, x * y, three * x, x / y, three / x, y / three,
        x[1:, :, 2], y[..., None, 0] * x[0],
    ]  # fmt: skip


def _by_index(t: dict[str, Host]) -> list[Host]:
    """The operators again, element by element."""
    x, y, three = t["x"], np.broadcast_to(t["y"], t["x"].shape), MP.mpf(3)
    picked = np.empty(x.shape, object)
    for i, j, k in np.ndindex(picked.shape):
        picked[i, j, k] = t["y"][i, 0, 0] * x[0, j, k]
    return [
        x + y, x + three, -(y - x), -(x - three), 0 - x, x * y, x * three,
        x * np.frompyfunc(lambda v: 1 / v, 1, 1)(y), three * (x**-1), t["y"] * (1 / three),
        np.array([[x[1, j, 2] for j in range(1)]], object), picked,
    ]  # fmt: skip


def _shapes(ar: Arithmetic, t: dict[str, Host]) -> list[Host]:
    x, y = t["x"], t["y"]
    index = np.array([[2, 0], [2, 2]])
    keep = np.array([[True], [False], [True]])
    return [
        ar.reshape(x, (4, 6)), ar.transpose(x, (2, 0, 1)), ar.concat([y, x, y], 1),
        ar.take(x, index, 1), ar.take(x, np.array([3, 3, 0]), -1), ar.where(keep, x, y),
        ar.full((2, 2), 1.5) * y[0, 0, :2], ar.constant(np.array([0.25])) * y[0, 0],
        ar.narrow(x),
    ]  # fmt: skip


def _shapes_by_index(t: dict[str, Host]) -> list[Host]:
    x, y = t["x"], t["y"]
    flat = list(x.flat)
    turned = [[[x[i, j, k] for j in range(3)] for i in range(2)] for k in range(4)]
    beside = [[*y[b, :], *x[b, :], *y[b, :]] for b in range(2)]
    taken = [[[[x[b, j, k] for k in range(4)] for j in row] for row in ((2, 0), (2, 2))]
             for b in range(2)]  # fmt: skip
    last = [[[x[b, j, k] for k in (3, 3, 0)] for j in range(3)] for b in range(2)]
    chosen = [[x[b, 0], y[b, 0], x[b, 2]] for b in range(2)]
    halves = y[0, 0, :2] + y[0, 0, :2] / 2
    return [
        np.array(flat, object), np.array(turned, object), np.array(beside, object),
        np.array(taken, object), np.array(last, object), np.array(chosen, object),
        np.array([halves, halves], object), y[0, 0] / 4, x,
    ]  # fmt: skip


def _sums(ar: Arithmetic, t: dict[str, Host]) -> list[Host]:
    x, y = t["x"], t["y"]
    return [
        ar.sum(x, 0), ar.sum(x, 1, keepdims=True), ar.mean(x, -1), ar.mean(x, 1, keepdims=True),
        ar.matmul(x, y), ar.matmul(y[0], x[0, :2]),
    ]  # fmt: skip


def _sums_by_index(t: dict[str, Host]) -> list[Host]:
    x, y = t["x"], t["y"]
    first = full((3, 4))
    for i, j, k in np.ndindex(x.shape):
        first[j, k] += x[i, j, k]
    middle = [[[MP.fsum(x[i, :, k]) for k in range(4)]] for i in range(2)]
    means = [[MP.fsum(x[i, j]) / 4 for j in range(3)] for i in range(2)]
    thirds = [[[v / 3 for v in row[0]]] for row in middle]
    many = [[[MP.fdot(x[i, j], y[0, :, m]) for m in range(2)] for j in range(3)] for i in range(2)]
    one = [[MP.fdot(y[0, j], x[0, :2, k]) for k in range(4)] for j in range(4)]
    return [first, *(np.array(v, object) for v in (middle, means, thirds, many, one))]


def _unbroadcast(ar: Arithmetic, t: dict[str, Host]) -> list[Host]:
    return [ar.unbroadcast(t["g"], (3, 1)), ar.unbroadcast(t["g"], (4,))]


def _unbroadcast_by_index(t: dict[str, Host]) -> list[Host]:
    g = t["g"]
    rows = [[MP.fsum(v for i in range(2) for v in g[i, j])] for j in range(3)]
    columns = [MP.fsum(g[i, j, k] for i in range(2) for j in range(3)) for k in range(4)]
    return [np.array(rows, object), np.array(columns, object)]


def _cube(ar: Arithmetic, t: dict[str, Host]) -> list[Host]:
    """The cube as a primitive of our own, written with `link`."""
    x = t["x"]
    return [link(ar, raw(x) ** 3, (x, lambda g: g * 3 * raw(x) ** 2))]


_WIDE = {"x": grid("shapes.x", 2, 3, 4), "y": grid("shapes.y", 2, 1, 4)}
_METHODS = ("reshape", "transpose", "concat", "take", "where", "full", "constant", "narrow")

POINTS: tuple[Point, ...] = (
    *_elementwise(),
    Point(
        id="primitive.operators",
        of=("tape.Var", "tape.gradient"),
        how="each operator by index; derivatives by central differences at 100 digits",
        inputs={"x": grid("operators.x", 2, 1, 3), "y": grid("operators.y", 2, 1, 1)},
        oracle=_operators,
        witness=_by_index,
    ),
    Point(
        id="primitive.shapes",
        of=tuple(f"arithmetic.Arithmetic.{name}" for name in _METHODS),
        how="element by element, by index",
        inputs=_WIDE,
        oracle=_shapes,
        witness=_shapes_by_index,
    ),
    Point(
        id="primitive.sums",
        of=tuple(f"arithmetic.Arithmetic.{name}" for name in ("sum", "mean", "matmul")),
        how="mpmath's exact sums and dot products",
        inputs={"x": grid("sums.x", 2, 3, 4), "y": grid("sums.y", 1, 4, 2)},
        oracle=_sums,
        witness=_sums_by_index,
    ),
    Point(
        id="primitive.max",
        of=("arithmetic.Arithmetic.max",),
        how="the last of the sorted numbers; a constant to gradients",
        inputs={"x": grid("max", 2, 3, 4)},
        oracle=lambda ar, t: [ar.max(t["x"], axis) for axis in (0, 1, -1)],
        witness=lambda t: [np.sort(t["x"], axis).take([-1], axis) for axis in (0, 1, -1)],
        gradient=False,
    ),
    Point(
        id="primitive.unbroadcast",
        of=("arithmetic.Arithmetic.unbroadcast",),
        how="mpmath's exact sums, by index",
        inputs={"g": grid("unbroadcast", 2, 3, 4)},
        oracle=_unbroadcast,
        witness=_unbroadcast_by_index,
        gradient=False,
    ),
    Point(
        id="primitive.link",
        of=("tape.link", "tape.raw", "tape.gradient"),
        how="central differences at 100 digits, of exp(3·log|x|) with its sign",
        inputs={"x": grid("link", 5)},
        oracle=_cube,
        witness=lambda t: [t["x"] * exp(2 * log(sqrt(t["x"] * t["x"])))],
    ),
)
