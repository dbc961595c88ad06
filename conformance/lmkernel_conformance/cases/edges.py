"""Edges of meaning that docs/contract.md settles: shapes, numbers, nothing, copies, statics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.inputs import normal

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel_conformance.subject import Subject

Host = Any

_ALL = ("float32", "float64", "bfloat16", "float16")


@case(level="operations", id="edges.shape", dtypes=("float32",))
def shape(s: Subject) -> None:
    """A shape is a sequence of Python integers that equals the tuple of them."""
    for want in ((), (3,), (2, 3, 1), (0, 4)):
        got = s.ops.full(want, 1.0, "float32").shape
        s.demand(f"{want}: as a tuple", expected=want, got=tuple(got))
        s.demand(f"{want}: equal", expected=(True, True), got=(got == want, want == got))
        s.demand(f"{want}: length", expected=len(want), got=len(got))
        s.demand(f"{want}: unpacked", expected=(5, *want), got=(5, *got))
        s.demand(f"{want}: a slice", expected=(*want[:-1], 9), got=(*got[:-1], 9))
        s.demand(f"{want}: types", expected=[], got=[type(n) for n in got if type(n) is not int])


@case(level="operations", id="edges.numbers", dtypes=_ALL)
def python_numbers(s: Subject) -> None:
    """Python numbers meet arrays on either side; the array's dtype stays, with all its digits."""
    x = np.array([1.0, -2.0, 4.0])
    native = s.array(x)
    third = 1 / 3 if s.dtype == "float64" else float(s.precision.round(np.array(1 / 3)))
    results = {
        "x + 2": (native + 2, x + 2),
        "2.5 + x": (2.5 + native, 2.5 + x),
        "x - 0.5": (native - 0.5, x - 0.5),
        "2 - x": (2 - native, 2 - x),
        "x * 0.25": (native * 0.25, x * 0.25),
        "-3 * x": (-3 * native, -3 * x),
        "x / 2": (native / 2, x / 2),
        "8 / x": (8 / native, 8 / x),
        "a third": (s.array(np.ones(3)) * (1 / 3), np.full(3, third)),
        "of no axes": (s.constant(0.5) * 3, 1.5),
    }
    for name, (got, want) in results.items():
        s.equal(name, got, want, s.dtype)
    for name, got, want in (
        ("x > 1", native > 1, x > 1),
        ("x <= -2.0", native <= -2.0, x <= -2.0),  # noqa: PLR2004 - one of the numbers above
        ("x == 4", native == 4, x == 4),  # noqa: PLR2004 - the same
        ("1 < x", 1 < native, x > 1),  # noqa: SIM300 - the other side is what is asked
    ):
        s.equal(name, got, want, "bool")


@case(level="operations", id="edges.integers", dtypes=("float32",))
def python_integers(s: Subject) -> None:
    """Python integers meet int32 arrays, which stay int32."""
    x = np.array([3, -7, 100_000])
    native = s.array(x)
    s.equal("x + 2", native + 2, x + 2, "int32")
    s.equal("2 - x", 2 - native, 2 - x, "int32")
    s.equal("x * -3", native * -3, x * -3, "int32")
    s.equal("-x", -native, -x, "int32")
    s.equal("x >= 3", native >= 3, x >= 3, "bool")  # noqa: PLR2004 - one of the numbers above
    s.equal("x != -7", native != -7, x != -7, "bool")  # noqa: PLR2004 - the same


@case(level="operations", id="edges.to_integers")
def to_integers(s: Subject) -> None:
    """Floats become integers towards zero, exactly, as far as int32 reaches."""
    ops = s.ops
    x = np.array(
        [4095.9, 4097.5, -8191.75, 32769.0, -65537.0, 1e6 + 0.5, 2.0**24, -(2.0**24), 2.0**30]
    )
    s.equal("towards zero", ops.astype(s.array(x), "int32"), np.trunc(s.round(x)), "int32")
    ends = np.array([2.0**31 - 128, -(2.0**31)])
    s.equal("the ends of int32", ops.astype(s.array(ends), "int32"), ends, "int32")
    whole = np.array([0, -1, 4097, 16_777_216, -16_777_216])
    s.equal("from integers", ops.astype(s.array(whole), s.dtype), whole, s.dtype)  # type: ignore[arg-type]  # declared by the backend
    s.equal(
        "from the largest", ops.astype(s.array(np.array([2**31 - 1])), "float64"), [2.0**31 - 1]
    )
    flags = ops.astype(s.array(np.array([0.0, -0.0, 0.5, -3.0, np.nan])), "bool")
    s.equal("to booleans", flags, [False, False, True, True, True], "bool")
    s.equal("of booleans", ops.astype(flags, "int32"), [0, 0, 1, 1, 1], "int32")


@case(level="operations", id="edges.arange", dtypes=("float32",))
def long_ranges(s: Subject) -> None:
    """Ranges may be long, empty, and begin below zero."""
    for first, last in ((0, 2049), (4090, 4100), (131_070, 131_075), (-5, 3), (7, 7)):
        s.equal(
            f"{first} to {last}",
            s.ops.arange(first, last, "int32"),
            np.arange(first, last),
            "int32",
        )


@case(level="operations", id="edges.empty")
def empty(s: Subject) -> None:
    """An extent may be zero: a sum over nothing is zero, and of no rows there are none."""
    ops = s.ops
    none, some = s.array(np.zeros((0, 3))), s.array(np.ones((2, 3)))
    s.equal("sum", ops.sum(none, 0), np.zeros(3), s.dtype)
    s.equal("sum of no rows", ops.sum(none, 1), np.zeros(0), s.dtype)
    s.equal("max of no rows", ops.max(none, 1), np.zeros(0), s.dtype)
    s.equal("product over nothing", ops.matmul(s.array(np.zeros((2, 0))), none), np.zeros((2, 3)))
    s.equal("linear of no rows", ops.linear(none, some), np.zeros((0, 2)), s.dtype)
    s.equal("softmax of no rows", ops.softmax(none), np.zeros((0, 3)), s.dtype)
    s.equal("concat", ops.concat([none, some, none], 0), np.ones((2, 3)), s.dtype)
    s.equal("take", ops.take(some, s.array(np.zeros((0, 2), int)), 0), np.zeros((0, 2, 3)), s.dtype)
    s.equal("slice", some[1:1], np.zeros((0, 3)), s.dtype)
    s.equal("exp", ops.exp(none), np.zeros((0, 3)), s.dtype)
    s.equal("reshape", ops.reshape(none, (3, 0)), np.zeros((3, 0)), s.dtype)


@case(level="operations", id="edges.static", rows=(28,))
def static(s: Subject) -> None:
    """Static arguments are told apart by their type and by equality, in any order of calls."""
    ops, x = s.ops, np.array([1.0, -2.0])
    factors = {int: 2.0, bool: 4.0, float: 8.0, str: 16.0, tuple: 32.0, type(None): 64.0}
    for order in (
        (1, True, 1.0),
        (1.0, 1, True),
        (True, 1.0, 1),
        (0, False, 0.0),
        ("1", 1, None),
        ((1,), 1),
    ):
        f = ops.compile(lambda y, kind: y * factors[type(kind)], static=(1,))
        for kind in (*order, *order):
            got = f(s.array(x), kind)
            s.equal(f"{kind!r} among {order}", got, x * factors[type(kind)], s.dtype)


@case(level="operations", id="edges.scan")
def loops(s: Subject) -> None:
    """A loop of one step and of a hundred, without outputs, over the steps of several arrays."""
    ops = s.ops
    for length in (1, 100):
        x = np.arange(1.0, length + 1)
        end, ys = ops.scan(lambda c, v: (c + v, ()), s.constant(0.0), s.array(x))
        s.equal(f"{length} steps", end, x.sum(), s.dtype)
        s.demand(f"{length} steps: no outputs", expected=(), got=ys)
        end, ys = ops.scan(
            lambda c, v: ([c[0] + v[0] * v[1]], {"y": c[0]}),
            [s.constant(0.0)],
            (s.array(x), s.array(x)),
        )
        s.equal(f"{length} steps of two", end[0], (x * x).sum(), s.dtype)
        before = np.concatenate([[0.0], np.cumsum(x * x)[:-1]])
        s.equal(f"{length} steps of two: outputs", ys["y"], before, s.dtype)


@case(level="operations", id="edges.copies")
def copies(s: Subject) -> None:
    """A copy of a view of a host array stays as it was; what `to_numpy` gives may be written to."""
    ops: Any = s.ops
    views: dict[str, Callable[[Host], Host]] = {
        "whole": lambda x: x,
        "across": lambda x: x.T,
        "in steps": lambda x: x[:, ::2],
        "backwards": lambda x: x[::-1],
        "rows": lambda x: x[1:],
        "column": lambda x: x[:, 1],
        "repeated": lambda x: np.broadcast_to(x[0], (3, 4)),
        "flat": lambda x: x.reshape(-1),
    }
    for name, view in views.items():
        host = np.asarray(s.round(normal("edges.copies", 3, 4)))
        seen = view(host)
        native, kept = ops.asarray(seen, s.dtype), np.array(seen)
        host[...] = 9.0
        s.equal(f"{name}: a copy", native, kept, s.dtype)
    x = np.asarray(s.round(normal("edges.written", 3, 4)))
    native = s.array(x)
    results = {
        "itself": native,
        "across": ops.permute_dims(native, (1, 0)),
        "a slice": native[:, 1:],
        "flat": ops.reshape(native, (-1,)),
        "repeated": ops.broadcast_to(native[:1], (3, 4)),
        "stopped": ops.stop_gradient(native),
        "converted": ops.astype(native, s.dtype),
    }
    for name, got in results.items():
        out = ops.to_numpy(got)
        kept = out.copy()
        out[...] = 7.0
        s.equal(f"{name}: after its copy was written to", got, kept, s.dtype)
        s.equal(f"{name}: what it is made of", native, x, s.dtype)
