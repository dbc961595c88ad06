"""Properties of reshaping, indexing, creation and transfer, and of reductions and products."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.trial import Trial
from lmkernel_conformance.exploration.draw import host
from lmkernel_conformance.exploration.property import NARROW, Property, trial_property

if TYPE_CHECKING:
    from lmkernel_conformance.exploration.draw import Draw, Example
    from lmkernel_conformance.subject import Subject

__all__ = ["PROPERTIES"]

Host = Any


def _draw_move(d: Draw) -> Example:
    shape = d.shape(1, 4)
    order = list(range(len(shape)))
    axes = [order.pop(d.integer(0, len(order) - 1)) for _ in shape]
    cut = d.integer(0, len(shape))
    flat = [math.prod(shape[:cut]), math.prod(shape[cut:])]
    if d.flag():
        flat[d.integer(0, 1)] = -1
    return {"x": d.array(shape), "axes": axes, "flat": flat, "axis": d.axis(len(shape))}


def _move(drawn: Example) -> Trial:
    axes, flat, axis = drawn["axes"], tuple(drawn["flat"]), drawn["axis"]

    def native(s: Subject, t: dict[str, Any]) -> list[Any]:
        ops, x = s.ops, t["x"]
        turned = ops.permute_dims(x, axes)
        return [turned, ops.reshape(turned, flat), ops.concat([x, x, x], axis)]

    def formula(ar: Any, t: dict[str, Any]) -> list[Any]:
        turned = ar.transpose(t["x"], axes)
        return [turned, ar.reshape(turned, flat), ar.concat([t["x"]] * 3, axis)]

    return Trial(inputs={"x": host("x", drawn["x"])}, native=native, formula=formula)


def _draw_broadcast(d: Draw) -> Example:
    shape = d.shape(1, 4)
    return {"x": d.array(d.broadcastable(shape)), "shape": shape}


def _broadcast(drawn: Example) -> Trial:
    shape = tuple(drawn["shape"])
    return Trial(
        inputs={"x": host("x", drawn["x"])},
        native=lambda s, t: s.ops.broadcast_to(t["x"], shape),
        formula=lambda ar, t: t["x"] * np.ones(shape, ar.dtype),
    )


def _draw_take(d: Draw) -> Example:
    shape = d.shape(1, 4)
    axis, rank = d.axis(len(shape)), d.shape(0, 2, 3)
    return {"x": d.array(shape), "axis": axis, "i": d.integers(rank, 0, shape[axis] - 1)}


def _take(drawn: Example) -> Trial:
    index, axis = np.array(drawn["i"], np.int64), drawn["axis"]
    return Trial(
        inputs={"x": host("x", drawn["x"])},
        fixed={"i": index},
        native=lambda s, t: s.ops.take(t["x"], t["i"], axis),
        formula=lambda ar, t: ar.take(t["x"], index, axis),
    )


def _draw_slices(d: Draw) -> Example:
    shape = d.shape(1, 4)
    parts = []
    for extent in shape:
        start = d.integer(0, extent - 1)
        parts.append([start, d.integer(start + 1, extent), d.integer(0, 2)])
    return {"x": d.array(shape), "parts": parts}


def _slices(drawn: Example) -> Trial:
    extents = drawn["x"]["shape"]
    cut = tuple(map(_index, drawn["parts"], extents))
    return Trial(
        inputs={"x": host("x", drawn["x"])},
        native=lambda _, t: t["x"][cut],
        formula=lambda _, t: t["x"][cut],
    )


def _index(part: list[int], extent: int) -> int | slice:
    """A slice, the same slice with bounds counted from the end, or a single index."""
    start, stop, way = part
    if way == 0:
        return slice(start, stop)
    return slice(start - extent, stop if stop == extent else stop - extent) if way == 1 else start


def _draw_reduction(d: Draw) -> Example:
    shape = d.shape(1, 4, 7)
    return {"x": d.array(shape), "axis": d.axis(len(shape)), "kept": d.flag()}


def _reduction(name: str) -> Property:
    def make(drawn: Example) -> Trial:
        axis, kept = drawn["axis"], drawn["kept"]
        return Trial(
            inputs={"x": host("x", drawn["x"])},
            native=lambda s, t: getattr(s.ops, name)(t["x"], axis, keepdims=kept),
            formula=lambda ar, t: getattr(ar, name)(t["x"], axis, keepdims=kept),
        )

    return trial_property(name, _draw_reduction, make)


def _check_max(s: Subject, drawn: Example) -> None:
    x, axis, kept = s.round(host("x", drawn["x"])), drawn["axis"], drawn["kept"]
    s.equal("max", s.ops.max(s.array(x), axis, keepdims=kept), x.max(axis, keepdims=kept), s.dtype)


def _draw_argmax(d: Draw) -> Example:
    shape = d.shape(1, 4, 6)
    return {"x": d.integers(shape, -2, 2), "axis": d.axis(len(shape))}


def _check_argmax(s: Subject, drawn: Example) -> None:
    x = np.array(drawn["x"], float)
    s.equal("argmax", s.ops.argmax(s.array(x), drawn["axis"]), x.argmax(drawn["axis"]), "int32")


def _draw_matmul(d: Draw) -> Example:
    n, k, m = (d.integer(1, 9) for _ in range(3))
    front = d.shape(0, 2, 3)
    loud = (1.0, 1000.0)
    return {
        "x": d.array([*d.broadcastable(front), n, k], scales=loud, shifts=(0.0, 5.0)),
        "y": d.array([*d.broadcastable(front), k, m], scales=loud, shifts=(0.0, 5.0)),
    }


def _matmul(drawn: Example) -> Trial:
    return Trial(
        inputs={n: host(n, drawn[n]) for n in ("x", "y")},
        native=lambda s, t: s.ops.matmul(t["x"], t["y"]),
        formula=lambda ar, t: ar.matmul(t["x"], t["y"]),
    )


def _draw_creation(d: Draw) -> Example:
    start = d.integer(-5, 5)
    return {
        "shape": d.shape(0, 4),
        "value": d.pick([0.0, 1.0, -2.5, 1e30]),
        "range": [start, start + d.integer(0, 6)],
        "indices": d.integers(d.shape(0, 3, 3), -1, 4),
        "size": d.integer(5, 7),
    }


def _check_creation(s: Subject, drawn: Example) -> None:
    """Creating arrays, converting them, and one-hot vectors are exact."""
    ops: Any = s.ops
    shape, value, (start, stop) = tuple(drawn["shape"]), drawn["value"], drawn["range"]
    s.equal("full", ops.full(shape, value, s.dtype), s.round(np.full(shape, value)), s.dtype)
    s.equal("full, int32", ops.full(shape, start, "int32"), np.full(shape, start), "int32")
    s.equal("arange", ops.arange(start, stop, "int32"), np.arange(start, stop), "int32")
    floats = ops.astype(ops.arange(start, stop, "int32"), s.dtype)
    s.equal("astype", floats, np.arange(start, stop), s.dtype)
    index = np.array(drawn["indices"], np.int64)
    want = (index[..., None] == np.arange(drawn["size"])).astype(float)
    s.equal("one_hot", ops.one_hot(s.array(index), drawn["size"], s.dtype), want, s.dtype)


def _draw_transfer(d: Draw) -> Example:
    shape = d.shape(0, 4)
    return {"x": d.array(shape), "reversed": d.flag(), "copy": d.flag(), "bool": d.flag()}


def _check_transfer(s: Subject, drawn: Example) -> None:
    """An array comes back from the device bit for bit, whatever its layout in host memory."""
    ops: Any = s.ops
    x = s.round(host("x", drawn["x"]))
    x = x.T[::-1] if drawn["reversed"] and x.ndim else x
    there = ops.asarray(x, s.dtype, copy=not drawn["copy"])
    s.demand("shape", expected=x.shape, got=tuple(there.shape))
    s.equal("back", there, x, s.dtype)
    kind = "bool" if drawn["bool"] else "int32"
    whole = (x > 0) if drawn["bool"] else np.asarray(np.round(x), np.int32)
    s.equal(f"back, {kind}", ops.asarray(whole, kind), np.asarray(whole, float), kind)


def _draw_update(d: Draw) -> Example:
    shape = d.shape(1, 4)
    axis = d.integer(0, len(shape) - 1)
    count = d.integer(1, shape[axis])
    start = d.integer(0, shape[axis] - count)
    return {"x": d.array(shape), "axis": axis, "start": start, "count": count, "int": d.flag()}


def _check_update(s: Subject, drawn: Example) -> None:
    axis, start, count = drawn["axis"], drawn["start"], drawn["count"]
    x = s.round(host("x", drawn["x"]))
    x = np.asarray(np.round(x), np.int32) if drawn["int"] else x
    new = np.take(x, np.arange(count), axis) + 1
    native = (s.array(x), s.array(new), s.ops.asarray(start, "int32"))
    got = s.ops.cache_update(*native, axis)
    want = np.array(x)
    want[(slice(None),) * axis + (slice(start, start + count),)] = new
    kind = "int32" if drawn["int"] else s.dtype
    s.equal("buffer", got, want if drawn["int"] else s.round(want), kind)


PROPERTIES = (
    trial_property("reshape, permute_dims, concat", _draw_move, _move),
    trial_property("broadcast_to", _draw_broadcast, _broadcast),
    trial_property("take", _draw_take, _take),
    trial_property("slices", _draw_slices, _slices),
    _reduction("sum"),
    _reduction("mean"),
    Property(name="max", draw=_draw_reduction, check=_check_max, dtypes=NARROW),
    Property(name="argmax", draw=_draw_argmax, check=_check_argmax),
    trial_property("matmul", _draw_matmul, _matmul),
    Property(name="full, arange, astype, one_hot", draw=_draw_creation, check=_check_creation),
    Property(name="asarray, to_numpy", draw=_draw_transfer, check=_check_transfer, dtypes=NARROW),
    Property(name="cache_update", draw=_draw_update, check=_check_update),
)
