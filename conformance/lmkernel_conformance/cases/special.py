"""NaN, infinities, neighbours and subnormal numbers: what the contract says of each is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.budget import Budget
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.inputs import normal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel_conformance.subject import Subject

Host = Any

_ALL = ("float32", "float64", "bfloat16", "float16")
_LENGTHS = (3, 9, 5003)
"""A few, a vector of the processor and one more, several blocks of a kernel."""


def _both(s: Subject, name: str, *args: Any) -> Iterator[tuple[str, Any]]:
    """The results of an operation on arrays, eager and compiled."""
    f = getattr(s.ops, name)
    with np.errstate(invalid="ignore"):  # NumPy warns of what is asked for here
        yield name, f(*args)
        yield f"{name}, compiled", s.ops.compile(f)(*args)


def _with_nan(length: int) -> list[Host]:
    """A row with a NaN in each of three places, and two of them, beside larger numbers."""
    row = np.round(normal(f"special.{length}", length) * 8)
    found = []
    for places in ([0], [length // 2], [length - 1], [length // 3, length - 1]):
        x = row.copy()
        x[places] = np.nan
        found.append(x)
    return [*found, row]


@case(level="operations", id="special.max_of_nan", dtypes=_ALL)
def max_of_nan(s: Subject) -> None:
    """The maximum along an axis is NaN where one is there, and nowhere else."""
    for length in _LENGTHS:
        rows = np.stack(_with_nan(length))
        want = np.array([np.nan] * 4 + [rows[-1].max()])
        pair = s.array(rows), s.array(rows.T.copy())

        def along_both(x: Any, y: Any) -> Any:
            return s.ops.max(x, 1), s.ops.max(y, 0)

        for what, f in (("eager", along_both), ("compiled", s.ops.compile(along_both))):
            for axis, got in zip((1, 0), f(*pair), strict=True):
                s.equal(f"axis {axis} of {length}, {what}", got, want, s.dtype)


@case(level="operations", id="special.argmax_of_nan", dtypes=_ALL)
def argmax_of_nan(s: Subject) -> None:
    """A NaN counts as the largest: the first one is found."""
    for length in _LENGTHS:
        rows = np.stack([*_with_nan(length), np.full(length, np.inf), np.full(length, -np.inf)])
        rows[1, 0] = np.inf if length > 1 else rows[1, 0]
        want = rows.argmax(1)
        for axis, x in ((1, rows), (0, rows.T.copy())):
            s.equal(f"axis {axis} of {length}", s.ops.argmax(s.array(x), axis), want, "int32")


@case(level="operations", id="special.larger_of_nan", dtypes=_ALL)
def larger_of_nan(s: Subject) -> None:
    """The larger and the smaller of two numbers are NaN where either is."""
    x = np.tile([1.0, np.nan, np.nan, -np.inf, 2.0, np.inf, np.nan], 5)
    y = np.tile([np.nan, 1.0, np.nan, np.nan, 3.0, np.nan, -np.inf], 5)
    for name, f in (("maximum", np.maximum), ("minimum", np.minimum)):
        for what, got in _both(s, name, s.array(x), s.array(y)):
            s.equal(what, got, f(x, y), s.dtype)


@case(level="operations", id="special.neighbours", dtypes=_ALL)
def neighbours(s: Subject) -> None:
    """Neighbouring numbers are different: for comparisons, maxima, and the place of the largest."""
    ops, unit = s.ops, 2.0 ** (1 - s.precision.digits)
    for length in (257,):
        for at in (0, length // 2, length - 1):
            x = np.ones(length)
            x[at] += unit
            s.equal(f"argmax at {at} of {length}", ops.argmax(s.array(x), 0), at, "int32")
            s.equal(f"max at {at} of {length}", ops.max(s.array(x), 0), 1 + unit, s.dtype)
            lower = s.array(-x)
            s.equal(
                f"larger at {at} of {length}",
                ops.maximum(lower, s.constant(-1.0)),
                -np.ones(length),
            )
            s.equal(f"above at {at} of {length}", s.array(x) > s.constant(1.0), x > 1, "bool")


@case(level="operations", id="special.limits", dtypes=_ALL)
def limits(s: Subject) -> None:
    """Functions at 0, below it, at infinities and at NaN; quotients by zero."""
    ops, inf, nan = s.ops, np.inf, np.nan
    expected = {
        "exp": ([-inf, inf, nan], [0, inf, nan]),
        "log": ([0, -1, inf, nan], [-inf, nan, inf, nan]),
        "sqrt": ([0, -1, inf, nan], [0, nan, inf, nan]),
        "tanh": ([-inf, inf, nan], [-1, 1, nan]),
        "sigmoid": ([-inf, inf, nan], [0, 1, nan]),
        "erf": ([-inf, inf, nan], [-1, 1, nan]),
        "cos": ([inf, -inf, nan], [nan, nan, nan]),
        "sin": ([inf, -inf, nan], [nan, nan, nan]),
        "relu": ([-inf, inf, nan, -3, 0], [0, inf, nan, 0, 0]),
    }

    def each(arrays: dict[str, Any]) -> dict[str, Any]:
        return {name: getattr(ops, name)(x) for name, x in arrays.items()}

    # longer than a vector of the processor, so that the fast path is taken as well
    arrays = {name: s.array(np.tile(np.array(x, float), 9)) for name, (x, _) in expected.items()}
    with np.errstate(all="ignore"):  # NumPy warns of what is asked for here
        for what, f in (("eager", each), ("compiled", ops.compile(each))):
            got = f(arrays)
            for name, (_, want) in expected.items():
                s.demand(f"{name}, {what}: dtype", expected=s.dtype, got=ops.dtype(got[name]))
                # at an infinity a library may be off by some units in the last place of 1
                limit = Budget(np.tile(np.array(want, float), 9), 0.0, s.precision)
                s.judge(f"{name}, {what}", s.host(got[name]), limit)
        quotient = s.array(np.array([1.0, -1.0, 0.0, inf])) / s.array(
            np.array([0.0, 0.0, 0.0, inf])
        )
        s.equal("quotient", quotient, [inf, -inf, nan, nan], s.dtype)


@case(level="operations", id="special.comparisons", dtypes=_ALL)
def comparisons(s: Subject) -> None:
    """A comparison with NaN is false, but for ``!=``; infinities are in order."""
    x = np.array([np.nan, 1.0, np.nan, -np.inf, np.inf, np.inf])
    y = np.array([1.0, np.nan, np.nan, np.inf, np.inf, -np.inf])
    a, b = s.array(x), s.array(y)
    results = {
        "<": (a < b, x < y),
        "<=": (a <= b, x <= y),
        ">": (a > b, x > y),
        ">=": (a >= b, x >= y),
        "==": (a == b, x == y),
        "!=": (a != b, x != y),
    }
    for name, (got, want) in results.items():
        s.equal(name, got, want, "bool")


@case(level="operations", id="special.softmax", dtypes=_ALL)
def rows_of_softmax(s: Subject) -> None:
    """A row with a NaN or an infinity is NaN throughout; -∞ beside numbers has no share."""
    for length in (5, 5003):
        x = np.zeros((4, length))
        x[0, length // 2], x[1, -1], x[2, 0] = np.nan, np.inf, -np.inf
        share = np.array([np.nan, np.nan, 1 / (length - 1), 1 / length])
        for name in ("softmax", "log_softmax"):
            for what, got in _both(s, name, s.array(x)):
                host = s.host(got).astype(np.float64)
                nan = np.isnan(host)
                s.equal(f"{what} of {length}: NaN", nan[:2], np.ones((2, length)))
                s.equal(f"{what} of {length}: numbers", nan[2:], np.zeros((2, length)))
        got = s.host(s.ops.softmax(s.array(x[2:]))).astype(np.float64)
        s.equal("hidden", got[0, :1], [0.0])
        limit = s.budgets(f"{length}", lambda ar: ar.constant(share[2:]))[0]  # noqa: B023 - called at once
        s.judge(f"shares of {length}", got[:, -1], limit)


@case(level="operations", id="special.losses")
def losses(s: Subject) -> None:
    """NaN among the logits is NaN in the loss of its row, and in no other."""
    x = np.round(normal("special.losses", 3, 40) * 8) / 8
    x[1, 17] = np.nan
    targets = s.array(np.array([3, 5, 39]))
    for what, got in _both(s, "cross_entropy", s.array(x), targets):
        s.equal(what, np.isnan(s.host(got)), [False, True, False])


@case(level="operations", id="special.all_ignored", dtypes=_ALL, rows=(19,))
def all_ignored(s: Subject) -> None:
    """Losses of ignored targets are zero, be there no other, for one row and for many."""
    for rows in (1, 130):
        x = s.array(normal("special.ignored", rows, 7))
        targets = s.array(np.full(rows, -1))
        for smoothing in (0.0, 0.1):
            got = s.ops.cross_entropy(x, targets, smoothing)
            s.equal(f"{rows} rows, smoothing {smoothing}", got, np.zeros(rows), s.dtype)


@case(level="gradients", id="special.all_ignored.gradient", rows=(19,), training=True)
def gradient_of_all_ignored(s: Subject) -> None:
    """The gradient of ignored rows is zero, be there no other."""
    ops = s.ops
    for rows in (1, 130):
        targets = s.array(np.full(rows, -1))
        for smoothing in (0.0, 0.1):
            f = ops.value_and_grad(lambda x: ops.sum(ops.cross_entropy(x, targets, smoothing), 0))  # noqa: B023 - called at once
            value, gradient = f(s.array(normal("special.ignored", rows, 7)))
            s.equal(f"{rows} rows, smoothing {smoothing}: value", value, 0.0, s.dtype)
            s.equal(f"{rows} rows, smoothing {smoothing}", gradient, np.zeros((rows, 7)), s.dtype)


@case(level="operations", id="special.subnormal", dtypes=_ALL)
def subnormal(s: Subject) -> None:
    """Subnormal numbers cross the border to the last bit, both ways."""
    smallest = s.precision.tiny * 2.0 ** (1 - s.precision.digits)
    x = np.array([1.0, 3.0, 2.0 ** (s.precision.digits - 2)]) * smallest
    s.equal("transfer", s.array(x), x, s.dtype)
