"""How an argument lies in memory: as a view or a result of other operations, never otherwise.

A framework may keep such an argument as a view, with strides of its own; it must compute what it
computes of a plain one. What surrounds a view is NaN, so that reading beside it shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.contract.mandatory import Array
    from lmkernel_conformance.subject import Subject

__all__ = ["place", "settle"]

Host = Any


def settle(x: Host, layout: str) -> Host:
    """The numbers that an argument of a layout can hold: those of a broadcast one repeat.

    Indices and masks are never broadcast: what they choose would be the same in every row.
    """
    if layout != "broadcast" or x.ndim == 0 or x.dtype.kind != "f":
        return x
    return np.broadcast_to(x[:1], x.shape).copy()


def place(s: Subject, x: Host, layout: str) -> Array:
    """The array on the backend, in a layout of `lmkernel_conformance.designs.tables.LAYOUTS`."""
    plain = x.ndim == 0 or not x.size or (layout == "broadcast" and x.dtype.kind != "f")
    return _PLACES["plain" if plain else layout](s, x)


def _permute(s: Subject, x: Host) -> Array:
    """A view whose axes stand in another order; a column of a matrix for a vector."""
    if x.ndim == 1:
        return s.array(np.stack([x, _blank(x.shape, x.dtype)], 1))[:, 0]
    turned = np.ascontiguousarray(np.moveaxis(x, -1, 0))
    return s.ops.permute_dims(s.array(turned), (*range(1, x.ndim), 0))


def _slice(s: Subject, x: Host) -> Array:
    """The inner part of a larger array, which is NaN around it."""
    shape = [extent + 3 for extent in x.shape]
    inner = tuple(slice(1, 1 + extent) for extent in x.shape)
    whole = _blank(shape, x.dtype)
    whole[inner] = x
    return s.array(whole)[inner]


def _reshape(s: Subject, x: Host) -> Array:
    return s.ops.reshape(s.array(x.reshape(-1)), x.shape)


def _concat(s: Subject, x: Host) -> Array:
    """Two parts along the last axis, one after the other."""
    middle = (x.shape[-1] + 1) // 2
    parts = [x[..., :middle], x[..., middle:]]
    return s.ops.concat([s.array(part) for part in parts if part.size], -1)


def _broadcast(s: Subject, x: Host) -> Array:
    return s.ops.broadcast_to(s.array(x[:1]), x.shape)


def _update(s: Subject, x: Host) -> Array:
    """What was written into a cache."""
    start = s.ops.asarray(0, "int32")
    return s.ops.cache_update(s.array(_blank(x.shape, x.dtype)), s.array(x), start, x.ndim - 1)


def _blank(shape: Any, dtype: Any) -> Host:
    return np.full(shape, np.nan if dtype.kind == "f" else 0, dtype)


_PLACES: dict[str, Callable[[Subject, Host], Array]] = {
    "plain": lambda s, x: s.array(x),
    "permuted": _permute,
    "sliced": _slice,
    "reshaped": _reshape,
    "concatenated": _concat,
    "broadcast": _broadcast,
    "updated": _update,
}
