"""Memory: results own theirs, arguments keep it, and one array may stand in two places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.layouts import place
from lmkernel_conformance.designs.tables import LAYOUTS
from lmkernel_conformance.inputs import normal, tokens

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any


@case(level="operations", id="memory.to_numpy")
def to_numpy(s: Subject) -> None:
    """Whatever the layout, what comes to the host is a copy: writing to it changes no array."""
    x = s.round(normal("memory.host", 3, 4))
    for layout in ("plain", "permuted", "sliced", "reshaped", "concatenated", "updated"):
        native = place(s, x, layout)
        s.ops.to_numpy(native)[...] = 7.0
        s.equal(layout, native, x, s.dtype)


@case(level="operations", id="memory.asarray")
def asarray(s: Subject) -> None:
    """A strided host array is copied as well: a column, every other row, backwards, turned."""
    views: dict[str, Any] = {
        "turned": lambda x: x.T,
        "a column": lambda x: x[:, 1],
        "every other row": lambda x: x[::2],
        "backwards": lambda x: x[::-1],
        "a broadcast row": lambda x: np.broadcast_to(x[1], (3, x.shape[1])),
        "in Fortran's order": np.asfortranarray,
    }
    for name, view in views.items():
        for kind in (s.dtype, "int32"):
            base = s.round(normal("memory.strided", 5, 4, scale=9))
            if kind == "int32":
                base = base.astype(np.int32)
            shown = view(base)
            kept = shown.copy()
            native = s.ops.asarray(shown, kind)  # type: ignore[arg-type]  # declared by the backend
            # Some of these views are copies themselves, so both are written to.
            base[...] = 0
            if shown.flags.writeable:
                shown[...] = 0
            s.equal(f"{name}, {kind}", native, kept, kind)


@case(level="operations", id="memory.cache_update")
def part_of_an_array(s: Subject) -> None:
    """A buffer that is a view is consumed; the array that it shows a part of is not."""
    ops: Any = s.ops
    host, values = s.round(normal("memory.whole", 6, 3)), s.round(normal("memory.new", 2, 3))
    parts: dict[str, Any] = {
        "a slice": (lambda x: x[1:5], host[1:5]),
        "turned": (lambda x: ops.permute_dims(x, (1, 0))[:, :4], host.T[:, :4]),
        "repeated": (lambda x: ops.broadcast_to(x[:1], (4, 3)), np.repeat(host[:1], 4, 0)),
    }
    for name, (part, before) in parts.items():
        whole, axis = s.array(host), int(name == "turned")
        new = values.T if axis else values
        got = ops.cache_update(part(whole), s.array(new), ops.asarray(1, "int32"), axis)
        want = before.copy()
        want[(slice(None),) * axis + (slice(1, 3),)] = new
        s.equal(f"{name}: result", got, want, s.dtype)
        s.equal(f"{name}: the whole", whole, host, s.dtype)


@case(level="operations", id="memory.donated")
def donated(s: Subject) -> None:
    """What a compiled function makes of a donated buffer stays, though it may be a view of it."""
    ops: Any = s.ops
    host = s.round(normal("memory.donated", 4, 6))

    def views(buffer: Any, factor: Any) -> Any:
        turned = ops.permute_dims(buffer, (1, 0))
        return {"part": buffer[1:3], "turned": turned, "new": buffer * factor}

    def itself(buffer: Any, factor: Any) -> Any:
        return {"part": buffer[1:3], "same": buffer, "new": buffer * factor}

    expected: dict[str, Any] = {
        "part": lambda x, _: x[1:3],
        "turned": lambda x, _: x.T,
        "same": lambda x, _: x,
        "new": lambda x, factor: x * s.precision.round(factor),
    }
    # A backend that keeps a buffer where it is returned as it is may yet clear one that is shown.
    for f in (views, itself):
        step, calls = ops.compile(f, donate=(0,)), ((host, 2.0), (host * 0 + 5, 3.0))
        results = [step(s.array(x), s.constant(factor)) for x, factor in calls]
        for got, (x, factor) in zip(results, calls, strict=True):
            for name, value in got.items():
                s.equal(name, value, expected[name](x, factor), s.dtype)


@case(level="operations", id="memory.twice")
def twice(s: Subject) -> None:
    """One array as both arguments, and twice in a tree, through compiled functions and loops."""
    ops, x = s.ops, s.round(normal("memory.twice", 3, 3))
    one = s.array(x)
    tree = {"a": one, "b": [one, one]}
    compiled = ops.compile(lambda t, y: (t["a"] + t["b"][1], t["b"][0] - y))
    added, rest = compiled(tree, one)
    s.equal("sum", added, x + x, s.dtype)
    s.equal("difference", rest, x * 0, s.dtype)
    end, ys = ops.scan(lambda c, now: (c + now[0], now[1]), one[0], (one, one))
    s.equal("outputs of a loop", ys, x, s.dtype)
    s.agree("carry of a loop", end, lambda ar: _carry(ar, x))
    s.equal("the array", one, x, s.dtype)


def _carry(ar: Any, x: Host) -> Host:
    rows = ar.constant(x)
    return rows[0] + rows[0] + rows[1] + rows[2]


@case(level="gradients", id="memory.twice.gradient", training=True)
def tied(s: Subject) -> None:
    """An array in two places of a tree has a gradient in each, of that place alone."""
    ops: Any = s.ops
    one = s.array(np.array([1.5, -2.0]))
    tree = {"embedding": one, "layers": [{"w": one}, {"w": one}]}

    def f(t: Any) -> Any:
        product = t["embedding"] * s.array(np.array([2.0, 4.0])) + t["layers"][1]["w"]
        return ops.sum(product, 0)

    for compiled in (False, True):
        g = ops.value_and_grad(f)
        value, found = (ops.compile(g) if compiled else g)(tree)
        s.equal("value", value, -5.5, s.dtype)
        s.equal("embedding", found["embedding"], [2.0, 4.0], s.dtype)
        s.equal("a place that is not used", found["layers"][0]["w"], [0.0, 0.0], s.dtype)
        s.equal("the other place", found["layers"][1]["w"], [1.0, 1.0], s.dtype)


@case(level="operations", id="memory.exact")
def exact(s: Subject) -> None:
    """Operations that only move or choose give the same bits for every layout."""
    ops: Any = s.ops
    x = s.round(normal("memory.exact", 5, 4))
    index = tokens("memory.exact", 7, vocab=4)
    numbers = tokens("memory.exact.sums", 5, 4, vocab=9).astype(np.float64)
    for layout in LAYOUTS:
        host = x if layout != "broadcast" else np.broadcast_to(x[:1], x.shape).copy()
        make: Any = lambda: place(s, host, layout)  # noqa: B023, E731 - called at once, one expression
        s.equal(f"{layout}: max", ops.max(make(), 0), host.max(0), s.dtype)
        s.equal(f"{layout}: argmax", ops.argmax(make(), -1), host.argmax(-1), "int32")
        s.equal(f"{layout}: take", ops.take(make(), s.array(index), 1), host[:, index], s.dtype)
        s.equal(f"{layout}: reshape", ops.reshape(make(), (2, -1)), host.reshape(2, -1), s.dtype)
        s.equal(f"{layout}: relu", ops.relu(make()), np.maximum(host, 0), s.dtype)
        whole = numbers if layout != "broadcast" else np.broadcast_to(numbers[:1], (5, 4)).copy()
        for axis in (0, 1):
            total = ops.sum(place(s, whole, layout), axis)
            s.equal(f"{layout}: sum along {axis}", total, whole.sum(axis), s.dtype)
        s.equal(f"{layout}: negation", -make(), -host, s.dtype)
        s.equal(f"{layout}: comparison", make() > s.constant(0.1), host > s.precision.round(0.1))
        s.equal(f"{layout}: astype", ops.astype(make(), "int32"), np.trunc(host), "int32")
