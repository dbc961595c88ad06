"""Properties of what moves elements, makes arrays, and of reductions and products."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.trial import Trial
from lmkernel_conformance.exploration.draw import host
from lmkernel_conformance.exploration.property import NARROW, Property, tried

if TYPE_CHECKING:
    from lmkernel_conformance.exploration.draw import Draw, Drawn
    from lmkernel_conformance.subject import Subject

__all__ = ["PROPERTIES"]

Host = Any


def _draw_moved(d: Draw) -> Drawn:
    shape = d.shape(1, 4)
    order = list(range(len(shape)))
    axes = [order.pop(d.integer(0, len(order) - 1)) for _ in shape]
    cut = d.integer(0, len(shape))
    flat = [math.prod(shape[:cut]), math.prod(shape[cut:])]
    if d.flag():
        flat[d.integer(0, 1)] = -1
    return {"x": d.array(shape), "axes": axes, "flat": flat, "axis": d.axis(len(shape))}


def _moved(drawn: Drawn) -> Trial:
    axes, flat, axis = drawn["axes"], tuple(drawn["flat"]), drawn["axis"]

    def native(s: Subject, t: dict[str, Any]) -> list[Any]:
        ops, x = s.ops, t["x"]
        turned = ops.permute_dims(x, axes)
        return [turned, ops.reshape(turned, flat), ops.concat([x, x, x], axis)]

    def formula(ar: Any, t: dict[str, Any]) -> list[Any]:
        turned = ar.transpose(t["x"], axes)
        return [turned, ar.reshape(turned, flat), ar.concat([t["x"]] * 3, axis)]

    return Trial(inputs={"x": host("x", drawn["x"])}, native=native, formula=formula)


def _draw_broadcast(d: Draw) -> Drawn:
    shape = d.shape(1, 4)
    return {"x": d.array(d.narrowed(shape)), "shape": shape}


def _broadcast(drawn: Drawn) -> Trial:
    shape = tuple(drawn["shape"])
    return Trial(
        inputs={"x": host("x", drawn["x"])},
        native=lambda s, t: s.ops.broadcast_to(t["x"], shape),
        formula=lambda ar, t: t["x"] * np.ones(shape, ar.dtype),
    )


def _draw_take(d: Draw) -> Drawn:
    shape = d.shape(1, 4)
    axis, rank = d.axis(len(shape)), d.shape(0, 2, 3)
    return {"x": d.array(shape), "axis": axis, "i": d.integers(rank, 0, shape[axis] - 1)}


def _take(drawn: Drawn) -> Trial:
    index, axis = np.array(drawn["i"], np.int64), drawn["axis"]
    return Trial(
        inputs={"x": host("x", drawn["x"])},
        fixed={"i": index},
        native=lambda s, t: s.ops.take(t["x"], t["i"], axis),
        formula=lambda ar, t: ar.take(t["x"], index, axis),
    )


def _draw_slices(d: Draw) -> Drawn:
    shape = d.shape(1, 4)
    parts = []
    for extent in shape:
        start = d.integer(0, extent - 1)
        parts.append([start, d.integer(start + 1, extent), d.integer(0, 2)])
    return {"x": d.array(shape), "parts": parts}


def _slices(drawn: Drawn) -> Trial:
    extents = drawn["x"]["shape"]
    cut = tuple(map(_index, drawn["parts"], extents))
    return Trial(
        inputs={"x": host("x", drawn["x"])},
        native=lambda _, t: t["x"][cut],
        formula=lambda _, t: t["x"][cut],
    )


def _index(part: list[int], extent: int) -> int | slice:
    """A slice, the same with bounds from the end, or one index."""
    start, stop, way = part
    if way == 0:
        return slice(start, stop)
    return slice(start - extent, stop if stop == extent else stop - extent) if way == 1 else start


def _draw_reduced(d: Draw) -> Drawn:
    shape = d.shape(1, 4, 7)
    return {"x": d.array(shape), "axis": d.axis(len(shape)), "kept": d.flag()}


def _reduced(name: str) -> Property:
    def make(drawn: Drawn) -> Trial:
        axis, kept = drawn["axis"], drawn["kept"]
        return Trial(
            inputs={"x": host("x", drawn["x"])},
            native=lambda s, t: getattr(s.ops, name)(t["x"], axis, keepdims=kept),
            formula=lambda ar, t: getattr(ar, name)(t["x"], axis, keepdims=kept),
        )

    return tried(name, _draw_reduced, make)


def _check_max(s: Subject, drawn: Drawn) -> None:
    x, axis, kept = s.rounded(host("x", drawn["x"])), drawn["axis"], drawn["kept"]
    s.equal("max", s.ops.max(s.array(x), axis, keepdims=kept), x.max(axis, keepdims=kept), s.dtype)


def _draw_argmax(d: Draw) -> Drawn:
    shape = d.shape(1, 4, 6)
    return {"x": d.integers(shape, -2, 2), "axis": d.axis(len(shape))}


def _check_argmax(s: Subject, drawn: Drawn) -> None:
    x = np.array(drawn["x"], float)
    s.equal("argmax", s.ops.argmax(s.array(x), drawn["axis"]), x.argmax(drawn["axis"]), "int32")


def _draw_matmul(d: Draw) -> Drawn:
    n, k, m = (d.integer(1, 9) for _ in range(3))
    front = d.shape(0, 2, 3)
    loud = (1.0, 1000.0)
    return {
        "x": d.array([*d.narrowed(front), n, k], scales=loud, shifts=(0.0, 5.0)),
        "y": d.array([*d.narrowed(front), k, m], scales=loud, shifts=(0.0, 5.0)),
    }


def _matmul(drawn: Drawn) -> Trial:
    return Trial(
        inputs={n: host(n, drawn[n]) for n in ("x", "y")},
        native=lambda s, t: s.ops.matmul(t["x"], t["y"]),
        formula=lambda ar, t: ar.matmul(t["x"], t["y"]),
    )


def _draw_made(d: Draw) -> Drawn:
    start = d.integer(-5, 5)
    return {
        "shape": d.shape(0, 4),
        "value": d.pick([0.0, 1.0, -2.5, 1e30]),
        "range": [start, start + d.integer(0, 6)],
        "indices": d.integers(d.shape(0, 3, 3), -1, 4),
        "size": d.integer(5, 7),
    }


def _check_made(s: Subject, drawn: Drawn) -> None:
    """Made, converted, and one-hot: exactly."""
    ops: Any = s.ops
    shape, value, (start, stop) = tuple(drawn["shape"]), drawn["value"], drawn["range"]
    s.equal("full", ops.full(shape, value, s.dtype), s.rounded(np.full(shape, value)), s.dtype)
    s.equal("full, int32", ops.full(shape, start, "int32"), np.full(shape, start), "int32")
    s.equal("arange", ops.arange(start, stop, "int32"), np.arange(start, stop), "int32")
    floats = ops.astype(ops.arange(start, stop, "int32"), s.dtype)
    s.equal("astype", floats, np.arange(start, stop), s.dtype)
    index = np.array(drawn["indices"], np.int64)
    want = (index[..., None] == np.arange(drawn["size"])).astype(float)
    s.equal("one_hot", ops.one_hot(s.array(index), drawn["size"], s.dtype), want, s.dtype)


def _draw_transfer(d: Draw) -> Drawn:
    shape = d.shape(0, 4)
    return {"x": d.array(shape), "reversed": d.flag(), "copy": d.flag(), "bool": d.flag()}


def _check_transfer(s: Subject, drawn: Drawn) -> None:
    """There and back, bit for bit, from any layout of host memory."""
    ops: Any = s.ops
    x = s.rounded(host("x", drawn["x"]))
    x = x.T[::-1] if drawn["reversed"] and x.ndim else x
    there = ops.asarray(x, s.dtype, copy=not drawn["copy"])
    s.demand("shape", expected=x.shape, got=tuple(there.shape))
    s.equal("back", there, x, s.dtype)
    kind = "bool" if drawn["bool"] else "int32"
    whole = (x > 0) if drawn["bool"] else np.asarray(np.round(x), np.int32)
    s.equal(f"back, {kind}", ops.asarray(whole, kind), np.asarray(whole, float), kind)


def _draw_updated(d: Draw) -> Drawn:
    shape = d.shape(1, 4)
    axis = d.integer(0, len(shape) - 1)
    count = d.integer(1, shape[axis])
    start = d.integer(0, shape[axis] - count)
    return {"x": d.array(shape), "axis": axis, "start": start, "count": count, "int": d.flag()}


def _check_updated(s: Subject, drawn: Drawn) -> None:
    axis, start, count = drawn["axis"], drawn["start"], drawn["count"]
    x = s.rounded(host("x", drawn["x"]))
    x = np.asarray(np.round(x), np.int32) if drawn["int"] else x
    new = np.take(x, np.arange(count), axis) + 1
    native = (s.array(x), s.array(new), s.ops.asarray(start, "int32"))
    got = s.ops.cache_update(*native, axis)
    want = np.array(x)
    want[(slice(None),) * axis + (slice(start, start + count),)] = new
    kind = "int32" if drawn["int"] else s.dtype
    s.equal("buffer", got, want if drawn["int"] else s.rounded(want), kind)


PROPERTIES = (
    tried("reshape, permute_dims, concat", _draw_moved, _moved),
    tried("broadcast_to", _draw_broadcast, _broadcast),
    tried("take", _draw_take, _take),
    tried("slices", _draw_slices, _slices),
    _reduced("sum"),
    _reduced("mean"),
    Property(name="max", draw=_draw_reduced, check=_check_max, dtypes=NARROW),
    Property(name="argmax", draw=_draw_argmax, check=_check_argmax),
    tried("matmul", _draw_matmul, _matmul),
    Property(name="full, arange, astype, one_hot", draw=_draw_made, check=_check_made),
    Property(name="asarray, to_numpy", draw=_draw_transfer, check=_check_transfer, dtypes=NARROW),
    Property(name="cache_update", draw=_draw_updated, check=_check_updated),
)
