"""At the ends of what operations take, each exact or to the digits that it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.beyond import whole_numbers
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.precision import PRECISIONS

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

_ALL = ("float32", "float64", "bfloat16", "float16")
_WIDE = ("float32", "float64")


@case(level="operations", id="farther.exp", dtypes=("float32", "float64", "bfloat16"))
def powers(s: Subject) -> None:
    """The largest powers of e that the dtype holds are numbers; to two digits."""
    top = 709.5 if s.dtype == "float64" else 88.5
    # several of each, as vector units compute no single ones
    x = s.round(np.repeat([top - 1.5, top - 1, top - 0.5, top], 9))
    got = s.host(s.ops.exp(s.array(x)))
    s.equal("shares", np.round(got / np.exp(x), 2), np.ones(36))
    with np.errstate(over="ignore"):  # which is the point
        beyond = s.ops.exp(s.array(x + 32))
    s.equal("beyond", beyond, np.full(36, np.inf), s.dtype)


def _near(one: float, unit: float) -> Any:
    """Numbers around ``one``, of which two stand in the middle between neighbours."""
    return one + unit * np.array([0.5, 1.5, 0.501, 1.499, 0.499, 0.001, 1.001, 2.5]) * np.sign(one)


@case(level="operations", id="farther.narrower", dtypes=_ALL)
def narrower(s: Subject) -> None:
    """Numbers of more digits are rounded to the nearest, in the middle to the even one."""
    ops: Any = s.ops
    target, source = ("float32", "float64") if s.dtype == "float64" else (s.dtype, "float32")
    if target == "float32":
        source = "float64"
    unit = {"float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10}[target]
    x = np.concatenate([_near(1.0, unit), _near(-1.0, unit), 8 * _near(1.0, unit)])
    x = np.asarray(x, source)
    want = PRECISIONS[target].round(x)
    s.equal("astype", ops.astype(ops.asarray(x, source), target), want, target)
    s.equal("asarray", ops.asarray(x, target), want, target)
    s.equal("of a list", ops.asarray(x.tolist(), target), want, target)


@case(level="operations", id="farther.hosts", dtypes=_ALL)
def hosts(s: Subject) -> None:
    """Host arrays may have any order of bytes, any step and any kind; -0 keeps its sign."""
    ops: Any = s.ops
    x = whole_numbers(3, 4)
    for kind in (">f8", ">f4", "<f8", "<f4", ">i4", "<i2", ">i8"):
        host = x.astype(kind)
        s.equal(kind, ops.asarray(host, s.dtype), x, s.dtype)
        s.equal(f"{kind}, shared", ops.asarray(host, s.dtype, copy=False), x, s.dtype)
        s.equal(f"{kind}, integers", ops.asarray(host, "int32"), x, "int32")
        s.equal(f"{kind}, backwards", ops.asarray(host[::-1, ::-2], s.dtype), x[::-1, ::-2])
    repeated = np.broadcast_to(x[:1].astype(">f8"), (2, 4))
    s.equal("repeated", ops.asarray(repeated, s.dtype, copy=False), repeated, s.dtype)
    s.equal("without axes", ops.asarray(np.array(3.0, ">f8"), s.dtype), 3.0, s.dtype)
    s.equal("unsigned", ops.asarray(np.array([0, 200, 255], "u1"), s.dtype), [0, 200, 255])
    signs = np.array([-0.0, 0.0, -1.0, 1.0])
    arrays = {
        "asarray": ops.asarray(signs, s.dtype),
        "of a list": ops.asarray(signs.tolist(), s.dtype),
        "full": ops.full((1,), -0.0, s.dtype),
    }
    for name, got in arrays.items():
        want = np.signbit(signs)[: got.shape[0]]
        s.equal(f"signs, {name}", np.signbit(s.host(got)).astype(float), want)


@case(level="operations", id="farther.kinds")
def kinds(s: Subject) -> None:
    """Booleans and integers pass through what stops gradients, and come to the host as they are."""
    ops: Any = s.ops
    flags, numbers = np.array([True, False, True]), np.array([2**31 - 1, -(2**31), 7])
    for name, host, dtype in (("booleans", flags, "bool"), ("integers", numbers, "int32")):
        s.equal(name, ops.stop_gradient(s.array(host)), host, dtype)
        found = ops.to_numpy(s.array(host))
        s.demand(f"{name} on the host", expected=dtype, got=str(found.dtype))


@case(level="operations", id="farther.draws", dtypes=("float64",))
def draws(s: Subject) -> None:
    """Draws of float64 have more digits than float32 does."""
    got = s.host(s.ops.random_uniform(s.ops.asarray([3, 5], "int32"), (4096,), "float64"))
    behind = np.floor(got * 2.0**40) % 2**8
    s.demand("different digits", expected=True, got=len(np.unique(behind)) > 2**7)


@case(level="operations", id="farther.dropout", dtypes=_ALL)
def dropout(s: Subject) -> None:
    """What is dropped is zero, be it infinite or no number."""
    key = s.ops.asarray([4, 9], "int32")
    kept = s.host(s.ops.dropout(s.array(np.ones(64)), key, 0.5)) > 0
    for value in (np.inf, -np.inf, np.nan):
        got = s.ops.dropout(s.array(np.full(64, value)), key, 0.5)
        s.equal(f"of {value}", got, np.where(kept, value, 0.0), s.dtype)


@case(level="operations", id="farther.softmax", dtypes=_ALL)
def softmax(s: Subject) -> None:
    """A row of which nothing is left has no shares, and its neighbours do not notice."""
    x = np.array([[0.0, 0.0, -np.inf, -np.inf], [-np.inf] * 4, [-np.inf, 3.0, -np.inf, -np.inf]])
    with np.errstate(invalid="ignore", divide="ignore"):  # which is the point
        got = s.ops.softmax(s.array(x), -1)
        logs = s.ops.log_softmax(s.array(x), -1)
    want = np.array([[0.5, 0.5, 0, 0], [np.nan] * 4, [0, 1, 0, 0]])
    # to two digits, as an honest power of 0 is near 1; what cannot be is 0 for certain
    s.equal("shares", np.round(s.host(got), 2), want)
    s.equal("which are none", (s.host(got) == 0).astype(int), (want == 0).astype(int))
    s.equal("nothing", logs[1:2], want[1:2], s.dtype)
    s.equal("one", np.round(s.host(logs[2:]), 2), [[-np.inf, 0.0, -np.inf, -np.inf]])


@case(level="operations", id="farther.hidden", dtypes=_ALL)
def hidden(s: Subject) -> None:
    """However many of a row's first or last classes cannot be, the others share all of it."""
    length = 200
    for gone in (3, 8, 64, 199):
        x = np.zeros((2, length))
        x[0, :gone] = x[1, length - gone :] = -np.inf
        left = length - gone
        # to two digits and to one, as an honest power of 0 is near 1
        shares = np.round(s.host(s.ops.softmax(s.array(x), -1)).astype(float) * left, 2)
        s.equal(f"shares beside {gone}", shares, np.isfinite(x).astype(float))
        logs = s.host(s.ops.log_softmax(s.array(x), -1))[[0, 1], [-1, 0]]
        s.equal(
            f"logarithms beside {gone}",
            np.round(logs.astype(float) + np.log(left), 1) + 0.0,
            [0.0, 0.0],
        )
        losses = s.host(s.ops.cross_entropy(s.array(x), s.array(np.array([length - 1, 0]))))
        s.equal(
            f"losses beside {gone}",
            np.round(losses.astype(float) - np.log(left), 1) + 0.0,
            [0.0, 0.0],
        )


@case(level="operations", id="farther.classes", dtypes=_ALL, rows=(19,))
def classes(s: Subject) -> None:
    """Classes that cannot be, -∞, cost nothing while they are not the target."""
    x = np.array([[0.0, -np.inf, 0.0, -np.inf], [-np.inf, 5.0, -np.inf, -np.inf], [0.0] * 4])
    targets = s.array(np.array([2, 1, 3]))
    with np.errstate(invalid="ignore"):  # -∞ without a class
        got = s.host(s.ops.cross_entropy(s.array(x), targets))
        lost = s.ops.cross_entropy(s.array(x), s.array(np.array([1, 0, -1])))
    s.equal("losses", np.round(got * 64 / np.log(2)), [64, 0, 128])
    s.equal("without the target", lost, [np.inf, np.inf, 0.0], s.dtype)


@case(level="operations", id="farther.smoothing", dtypes=_WIDE, rows=(19,))
def smoothing(s: Subject) -> None:
    """Smoothing may take most of a target, or all of it; to five digits of a difference of 64."""
    x = np.array([[64.0, 0.0, 0.0, 0.0], [0.0, 64.0, 0.0, 0.0]])
    targets = s.array(np.array([0, 0]))
    for share in (0.0, 0.25, 0.5, 0.75, 0.9, 1.0):
        # log Σ is 64, so that a class costs 64 or nothing
        want = 64 * np.array([share * 0.75, (1 - share) + share * 0.75])
        got = s.host(s.ops.cross_entropy(s.array(x), targets, share))
        s.equal(f"smoothing {share}", np.round(got, 3), np.round(want, 3).astype(got.dtype))


@case(level="operations", id="farther.norms", dtypes=_WIDE, rows=(15,))
def norms(s: Subject) -> None:
    """Rows far from zero, and rows of large numbers, are normalised; to two digits."""
    ops: Any = s.ops
    far = 5 + 2.0 ** (18 if s.dtype == "float32" else 40)
    x = np.array([[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]])
    one, none = s.array(np.ones(4)), s.array(np.zeros(4))
    for shift in (far, -far):
        got = ops.layer_norm(s.array(64 * x + shift), one, none, 1e-5)
        s.equal(f"about {shift:g}", np.round(s.host(got), 2), x)
    large = 2.0 ** (60 if s.dtype == "float32" else 480)
    s.equal("large", np.round(s.host(ops.layer_norm(s.array(large * x), one, None, 1e-5)), 2), x)
    s.equal("large power", np.round(s.host(ops.rms_norm(s.array(large * x), one, 1e-5)), 2), x)


@case(level="operations", id="farther.matmul", dtypes=_WIDE)
def matmul(s: Subject) -> None:
    """Leading axes are repeated on either side, extents are 1, and whole numbers stay exact."""
    shapes = (
        ((1, 3, 2, 4), (5, 1, 4, 3)),
        ((2, 1, 1, 4), (1, 3, 4, 1)),
        ((2, 3, 1, 1), (2, 3, 1, 5)),
        ((1, 7), (7, 1)),
        ((6, 1), (1, 6)),
        ((2, 2, 2, 3, 4), (4, 2)),
        ((3, 4), (2, 2, 2, 4, 2)),
        ((3, 4), (3, 4, 5)),
        ((9, 65), (65, 33)),
        ((1, 130), (130, 3)),
        ((2, 17, 8), (2, 8, 17)),
    )
    for first, second in shapes:
        x, y = whole_numbers(*first), whole_numbers(*second)
        s.equal(f"{first} by {second}", s.ops.matmul(s.array(x), s.array(y)), x @ y, s.dtype)
