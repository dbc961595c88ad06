"""Moves by design: rows taken from tables, shapes, caches. They compute nothing, and are exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.designed import MOST, designed
from lmkernel_conformance.cases.trial import Trial
from lmkernel_conformance.inputs import extent, normal, uniform

if TYPE_CHECKING:
    from lmkernel_conformance.designs import Row

Host = Any

_WIDTH = 2


def _indices(table: int, shape: str, again: int, purpose: str) -> Host:
    """Indices over the whole table, its last row too, and one of them several times."""
    draws = uniform(f"{purpose}.i", 12, low=0, high=1) * table
    flat = np.concatenate([draws.astype(np.int32), [table - 1], np.full(again, table // 2)])
    if shape == "one":
        return np.asarray(table - 1, np.int32)
    order = np.argsort(uniform(f"{purpose}.order", flat.size, low=0, high=1))
    flat = flat[order].astype(np.int32)
    return flat if shape == "line" else np.resize(flat, (3, -(-flat.size // 3)))


@designed("take", gradients=lambda row: row["table"] * _WIDTH <= MOST)
def take(row: Row, purpose: str) -> Trial:
    """Elements at indices."""
    table, kind = extent(purpose, row["table"]), row["operation"]
    axis = 1 if kind == "last_axis" else 0
    index = _indices(table, row["index"], row["again"], purpose)
    x = normal(f"{purpose}.x", *((_WIDTH, table) if axis else (table, _WIDTH)))

    def native(s: Any, t: dict[str, Any]) -> Any:
        if kind == "take_rows":
            return s.ops.take_rows(t["x"], t["i"])
        return s.ops.take(t["x"], t["i"], -1 if axis else 0)

    return Trial(
        inputs={"x": x},
        fixed={"i": index},
        native=native,
        formula=lambda ar, t: ar.take(t["x"], index, axis),
    )


@designed("cache_update")
def cache_update(row: Row, purpose: str) -> Trial:
    """Values written into a buffer that is consumed; gradients of the values."""
    count, axis = extent(purpose, row["rows"]), row["axis"] % 3
    capacity = count + 5
    start = {"first": 0, "middle": 2, "last": 5}[row["start"]]
    shapes = [tuple(n if i == axis else i + 2 for i in range(3)) for n in (count, capacity)]
    buffer = normal(f"{purpose}.buffer", *shapes[1])

    def formula(ar: Any, t: dict[str, Host]) -> Host:
        before = np.take(t["buffer"], np.arange(start), axis)
        after = np.take(t["buffer"], np.arange(start + count, capacity), axis)
        return ar.concat([before, t["values"], after], axis)

    return Trial(
        inputs={"values": normal(f"{purpose}.x", *shapes[0])},
        fixed={"buffer": buffer},
        native=lambda s, t: s.ops.cache_update(
            t["buffer"], t["values"], s.ops.asarray(start, "int32"), row["axis"] % 3
        ),
        formula=formula,
        consumed=("buffer",),
    )


def _moved(name: str, o: Any, x: Any, n: int) -> Any:
    """One change of shape of ``x (2, n, 3)``, on the backend's operations."""
    return {
        "reshape": lambda: o.reshape(x, (3, -1)),
        "permute": lambda: o.permute_dims(x, (1, 0, 2)),
        "cycle": lambda: o.permute_dims(x, (1, 2, 0)),
        "broadcast": lambda: o.broadcast_to(o.reshape(x, (2, n, 1, 3)), (2, n, 4, 3)),
        "concat": lambda: o.concat([x, x[:, :1]], 1),
        "concat_four": lambda: o.concat([x[..., :1], x, x, x[..., 1:]], -1),
        "slice": lambda: x[1:, :, -2:],
    }[name]()


def _moved_oracle(name: str, ar: Any, x: Any, n: int) -> Any:
    """The same on the oracle."""
    return {
        "reshape": lambda: ar.reshape(x, (3, -1)),
        "permute": lambda: ar.transpose(x, (1, 0, 2)),
        "cycle": lambda: ar.transpose(x, (1, 2, 0)),
        "broadcast": lambda: ar.reshape(x, (2, n, 1, 3)) * np.ones((2, n, 4, 3), ar.dtype),
        "concat": lambda: ar.concat([x, x[:, :1]], 1),
        "concat_four": lambda: ar.concat([x[..., :1], x, x, x[..., 1:]], -1),
        "slice": lambda: x[1:, :, -2:],
    }[name]()


@designed("shapes")
def shapes(row: Row, purpose: str) -> Trial:
    """A change of shape."""
    name, n = row["operation"], extent(purpose, row["extent"])
    return Trial(
        inputs={"x": normal(f"{purpose}.x", 2, n, 3)},
        native=lambda s, t: _moved(name, s.ops, t["x"], n),
        formula=lambda ar, t: _moved_oracle(name, ar, t["x"], n),
    )
