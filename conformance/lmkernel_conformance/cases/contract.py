"""The contract beyond formulas: dtypes, copies, compilation, loops, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import CapabilityError
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.inputs import normal

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any

_WIDE = 2.0**-50
"""Added to 1 it needs 51 binary digits; float32 has 24."""


@case(level="operations", id="float64.is_wide", dtypes=("float64",), rows=(29,))
def wide(s: Subject) -> None:
    """Sums and products that need more than 24 binary digits keep them on every path."""
    ops, x = s.ops, np.array([1.0, _WIDE, _WIDE * 2])
    want = 1 + 3 * _WIDE
    native, ones = s.array(x), s.array(np.ones((1, 3)))
    column = ops.reshape(native, (3, 1))
    s.equal("asarray and to_numpy", native, x, "float64")
    s.equal("sum", ops.sum(native, 0), want, "float64")
    s.equal("matmul", ops.matmul(ones, column), [[want]], "float64")
    s.equal("linear", ops.linear(native, ones), [want], "float64")
    s.equal("packed", ops.linear(native, ops.pack_linear(ones)), [want], "float64")
    s.equal("full", ops.full((2,), want, "float64"), [want, want], "float64")
    s.equal("number", ops.asarray(want, "float64"), want, "float64")
    tiny = np.array([_WIDE * 64])
    s.agree("exp", ops.exp(s.array(tiny)), lambda ar: ar.exp(ar.constant(tiny)))
    s.equal("compiled", ops.compile(lambda a: ops.sum(a, 0))(native), want, "float64")


@case(level="operations", id="float64.reductions", dtypes=("float64",), rows=(29,))
def wide_mean(s: Subject) -> None:
    """Means in float64 are not float32 inside."""
    x = np.array([1.0, 1 + _WIDE, 1 + 2 * _WIDE])
    s.equal("mean", s.ops.mean(s.array(x), 0), 1 + _WIDE, "float64")


@case(level="gradients", id="float64.gradient", dtypes=("float64",), rows=(29,), training=True)
def wide_gradient(s: Subject) -> None:
    """Gradients in float64 are not float32 inside."""
    ops, x = s.ops, np.array([1.0, 1 + _WIDE, 1 + 2 * _WIDE])
    _, gradient = ops.value_and_grad(lambda t: ops.sum(t * t, 0))(s.array(x))
    s.equal("gradient", gradient, 2 * x, "float64")


@case(level="operations", id="asarray.copies")
def copies(s: Subject) -> None:
    """Writing to a host array afterwards does not change the device's copy, nor the reverse."""
    host = s.round(normal("copies", 3, 2))
    kept = host.copy()
    native = s.array(host)
    host[...] = 9.0
    s.equal("device", native, kept, s.dtype)
    out = s.ops.to_numpy(native)
    out[...] = 7.0
    s.equal("device after its copy was written", native, kept, s.dtype)


@case(level="operations", id="asarray.kinds", dtypes=("float32",))
def kinds(s: Subject) -> None:
    """Numbers, nested lists and arrays of other dtypes are converted to the dtype asked for."""
    ops = s.ops
    s.equal("number", ops.asarray(2.5, "float32"), 2.5, "float32")
    s.equal("list", ops.asarray([[1, 2], [3, 4]], "float64"), [[1, 2], [3, 4]], "float64")
    s.equal("int64", ops.asarray(np.array([7, -8]), "int32"), [7, -8], "int32")
    s.equal("to bool", ops.asarray([0, 2, 0], "bool"), [False, True, False], "bool")
    s.equal("0-d", ops.asarray(np.int64(5), "int32"), 5, "int32")
    shared = ops.asarray(np.arange(6.0, dtype=np.float32).reshape(2, 3).T, "float32", copy=False)
    s.equal("a view", shared, np.arange(6.0).reshape(2, 3).T, "float32")


@case(level="operations", id="creation")
def creation(s: Subject) -> None:
    """Both full and arange, also empty, in each dtype."""
    ops: Any = s.ops
    s.equal("full", ops.full((2, 3), -1.5, s.dtype), np.full((2, 3), -1.5), s.dtype)
    s.equal("0-d", ops.full((), 4, "int32"), 4, "int32")
    s.equal("bool", ops.full((2,), True, "bool"), [True, True], "bool")  # noqa: FBT003 - a fill value
    s.equal("empty", ops.full((2, 0), 1.0, s.dtype), np.zeros((2, 0)), s.dtype)
    s.equal("arange", ops.arange(2, 7, "int32"), np.arange(2, 7), "int32")
    s.equal("floating arange", ops.arange(0, 4, s.dtype), np.arange(4), s.dtype)


@case(level="operations", id="astype")
def astype(s: Subject) -> None:
    """Between floats, to integers towards zero, from booleans."""
    ops, x = s.ops, np.array([-2.75, -0.5, 0.0, 1.25, 3.5])
    other: Any = "float64" if s.dtype == "float32" else "float32"
    s.equal("floats", ops.astype(s.array(x), other), x, other)
    s.equal("integers", ops.astype(s.array(x), "int32"), np.trunc(x), "int32")
    s.equal("booleans", ops.astype(s.array(x > 0), s.dtype), x > 0, s.dtype)  # type: ignore[arg-type]  # declared by the backend
    s.equal("to booleans", ops.astype(s.array(np.array([0, 3])), "bool"), [False, True], "bool")


@case(level="operations", id="dtypes.kept")
def dtypes_stay(s: Subject) -> None:
    """Operations stay in the dtype of their input: constants are typed, nothing is promoted."""
    ops, x = s.ops, s.array(normal("kept", 3, 4, scale=0.5, shift=2))
    ones = s.array(np.ones(4))
    results = {
        "sum": ops.sum(x, 0),
        "mean": ops.mean(x, 0),
        "softmax": ops.softmax(x, 0),
        "layer_norm": ops.layer_norm(x, ones, None, 1e-5),
        "rms_norm": ops.rms_norm(x, ones, 1e-5),
        "gelu": ops.gelu(x),
        "silu": ops.silu(x),
        "where": ops.where(x > ones, x, s.constant(0.0)),
        "sqrt": ops.sqrt(x),
        "stop_gradient": ops.stop_gradient(x),
    }
    for name, y in results.items():
        s.demand(f"{name}: dtype", expected=s.dtype, got=ops.dtype(y))


@case(level="operations", id="int32.kept", dtypes=("float32",))
def int32_stays(s: Subject) -> None:
    """Sums, products and maxima of int32 are int32."""
    ops, x = s.ops, np.array([[3, -4, 5], [7, 0, -1]])
    native = s.array(x)
    s.equal("sum", ops.sum(native, 1), x.sum(1), "int32")
    s.equal("max", ops.max(native, 0), x.max(0), "int32")
    s.equal("maximum", ops.maximum(native, ops.full((), 1, "int32")), np.maximum(x, 1), "int32")
    s.equal("product", native * native + native, x * x + x, "int32")
    s.equal("concat", ops.concat([native, native], 0), np.concatenate([x, x]), "int32")
    s.equal("taken", ops.take(native, s.array(np.array([1, 0])), 1), x[:, [1, 0]], "int32")


@case(level="operations", id="scan")
def scan(s: Subject) -> None:
    """Carries and stacks trees over the leading axis, forwards and backwards."""
    ops, x = s.ops, np.array([[1.0, 2.0], [4.0, 8.0], [16.0, 32.0]])
    flags = np.array([True, False, True])

    def f(carry: Any, now: Any) -> tuple[Any, Any]:
        total = ops.where(now["use"], carry["total"] + now["x"], carry["total"])
        return {"total": total, "last": now["x"]}, (total, now["x"] * total)

    for reverse in (False, True):
        start = {"total": s.array(np.array([0.5, 0.25])), "last": s.array(np.zeros(2))}
        xs = {"x": s.array(x), "use": s.array(flags)}
        end, (totals, products) = ops.scan(f, start, xs, reverse=reverse)
        want = _running_totals(x, flags, reverse=reverse)
        s.equal(f"carry, reverse={reverse}", end["total"], want["total"], s.dtype)
        s.equal(f"last, reverse={reverse}", end["last"], x[0] if reverse else x[-1], s.dtype)
        s.equal(f"first output, reverse={reverse}", totals, want["totals"], s.dtype)
        s.equal(f"second output, reverse={reverse}", products, x * want["totals"], s.dtype)


@case(level="operations", id="scan.of_one")
def scan_of_one(s: Subject) -> None:
    """The inputs of a loop may be a tuple of one array, and so may its outputs."""
    x = np.array([3.0, -1.0, 4.0])
    end, (ys,) = s.ops.scan(
        lambda carry, now: (carry + now[0], (carry * now[0],)), s.constant(2.0), (s.array(x),)
    )
    s.equal("carry", end, 8.0, s.dtype)
    s.equal("output", ys, [6.0, -5.0, 16.0], s.dtype)


def _running_totals(x: Host, flags: Host, *, reverse: bool) -> dict[str, Host]:
    total, totals = np.array([0.5, 0.25]), np.zeros_like(x)
    for i in range(len(x))[:: -1 if reverse else 1]:
        total = total + x[i] * flags[i]
        totals[i] = total
    return {"total": total, "totals": totals}


@case(level="operations", id="compile", rows=(28,))
def compile_function(s: Subject) -> None:
    """Trees in and out, static positions, other shapes, and numbers that vary as 0-d arrays."""
    ops = s.ops

    def f(tree: Any, power: int, factor: Any) -> Any:
        y = tree["x"]
        for _ in range(power - 1):
            y = y * tree["x"]
        return {"y": y * factor, "n": [tree["n"] + tree["n"]]}

    g = ops.compile(f, static=(1,))
    for shape, power, factor in (((2, 3), 2, 0.5), ((4,), 3, 4.0), ((2, 3), 3, -1.0)):
        x = s.round(normal("compile", *shape))
        tree = {"x": s.array(x), "n": s.array(np.array([3]))}
        got = g(tree, power, s.constant(factor))
        want = x * x * factor if power == 2 else x * x * x * factor  # noqa: PLR2004 - the powers above
        s.equal(f"{shape}, power {power}", got["y"], want, s.dtype)
        s.equal("int32 leaf", got["n"][0], [6], "int32")


@case(level="operations", id="compile.donated")
def donation(s: Subject) -> None:
    """A donated buffer, updated in a loop, as decoding does."""
    ops = s.ops
    step = ops.compile(lambda b, v, i: ops.cache_update(b, v, i, 0), donate=(0,))
    buffer = ops.full((5, 2), 0.0, s.dtype)  # type: ignore[arg-type]  # declared by the backend
    rows = s.round(normal("donated", 5, 2))
    for i in (3, 0, 4, 1, 2):
        buffer = step(buffer, s.array(rows[i : i + 1]), ops.asarray(i, "int32"))
    s.equal("buffer", buffer, rows, s.dtype)


@case(level="operations", id="one_hot")
def one_hot(s: Subject) -> None:
    """One at the index; a negative index gives zeros."""
    index = np.array([[2, 0, -1], [4, 4, -7]])
    want = (index[..., None] == np.arange(5)).astype(float)
    s.equal("rows", s.ops.one_hot(s.array(index), 5, s.dtype), want, s.dtype)  # type: ignore[arg-type]  # declared by the backend


@case(level="operations", id="unsupported.refused", dtypes=("float32",))
def refusal(s: Subject) -> None:
    """Operations declared unsupported raise `CapabilityError`, with the reason declared."""
    for name, reason in s.backend.capabilities.unsupported.items():
        try:
            getattr(s.ops, name)()
        except CapabilityError as error:
            s.demand(f"{name}: the reason is told", expected=True, got=reason in str(error))
        else:
            raise Discrepancy(f"{s.label}: expected CapabilityError from {name}, got a result")
