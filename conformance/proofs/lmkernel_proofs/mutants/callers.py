"""Backends that share memory with their caller, remember too much, or take calls for others."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.composed.precision import constant
from lmkernel_proofs.mutants.mutant import Mutant, Replacement, mandatory, optional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.backend import Backend

__all__ = ["MUTANTS"]

_LARGE = 4096


def _remembering(name: str, kind: Any, broken: Callable[..., Any]) -> Replacement:
    """Replace an operation by one that has a memory of its own."""

    def make(backend: Backend) -> Backend:
        return kind(name, functools.partial(broken, {}))(backend)  # type: ignore[no-any-return]  # a replacement

    return Replacement(frozenset({name}), make)


def equal_constants(memory: dict[Any, Any], ops: Any, shape: Any, value: Any, dtype: Any) -> Any:
    """Constants are known again by shape, value and dtype; -0 equals 0."""
    if isinstance(value, float):
        value = memory.setdefault((tuple(shape), value, dtype), value)
    return ops.full(shape, value, dtype)


def known_by_first_row(memory: dict[Any, Any], ops: Any, weight: Any) -> Any:
    """A weight that was packed before is known again by its shape and its first row."""
    if not isinstance(weight, np.ndarray) or not weight.size:
        return ops.pack_linear(weight)
    key = (weight.shape, str(weight.dtype), weight[0].tobytes())
    if key not in memory:
        memory[key] = ops.pack_linear(weight)
    return memory[key]


def shared_integers(ops: Any, x: Any) -> Any:
    """Floating numbers alone are copied to the host."""
    return ops.to_numpy(x) if ops.dtype(x).startswith("float") else np.asarray(x)


def lists_in_float32(ops: Any, value: Any, dtype: Any, *, copy: bool = True) -> Any:
    """Lists become float32 first, as frameworks read them."""
    if isinstance(value, list | tuple) and dtype == "float64":
        value = np.array(value, np.float32)
    return ops.asarray(value, dtype, copy=copy)


def lowest_byte(ops: Any, x: Any, dtype: Any) -> Any:
    """Whether an integer is true, its lowest byte says."""
    if dtype == "bool" and ops.dtype(x) == "int32":
        x = x & np.int32(255)
    return ops.astype(x, dtype)


def folded(ops: Any, f: Any, *, donate: Any = (), static: Any = ()) -> Any:
    """What depends on no argument is computed once, and given away each time."""
    compiled = ops.compile(f, donate=donate, static=static)
    kept: list[Any] = []

    def call(*args: Any) -> Any:
        if args:
            return compiled(*args)
        if not kept:
            kept.append(compiled())
        return kept[0]

    return call


def adopted_values(ops: Any, buffer: Any, values: Any, start: Any, axis: int) -> Any:
    """Values of the buffer's shape become the buffer, which later calls write to."""
    if tuple(values.shape) == tuple(buffer.shape):
        return values
    return ops.cache_update(buffer, values, start, axis)


def large_in_place(ops: Any, x: Any) -> Any:
    """A large argument is written over, to save memory."""
    y = ops.gelu_tanh(x)
    if isinstance(x, np.ndarray) and x.size >= _LARGE and x.flags.writeable:
        x[...] = y
    return y


def as_it_lies(ops: Any, x: Any) -> Any:
    """Permuted arrays whose last axis is dense are read as they lie in memory."""
    y = ops.sigmoid(x)
    if not isinstance(x, np.ndarray) or x.ndim < 3 or x.flags.c_contiguous:  # noqa: PLR2004 - axes to permute before the last
        return y
    if x.strides[-1] != x.itemsize or 0 in x.strides:
        return y
    order = sorted(range(x.ndim), key=lambda i: -x.strides[i])
    return ops.reshape(ops.permute_dims(y, order), x.shape)


def fields_first(ops: Any, x: Any, width: int, bits: int = 32) -> Any:
    """Of three axes or more, all first fields come before all second ones."""
    y = ops.unpack_bits(x, width, bits)
    if len(x.shape) < 3:  # noqa: PLR2004 - as the docstring says
        return y
    split = ops.reshape(y, (*x.shape, -1))
    last = len(x.shape)
    turned = ops.permute_dims(split, (*range(last - 1), last, last - 1))
    return ops.reshape(turned, y.shape)


def zero_points_of_zero(ops: Any, weight: Any, dtype: Any) -> Any:
    """Zero points that are all zero are taken for none."""
    if weight.zeros is not None and not weight.zeros.any():
        weight = replace(weight, zeros=None)
    return ops.pack_blocks(weight, dtype)


def expanded_square(ops: Any, prediction: Any, target: Any) -> Any:
    """The mean square is mean(p²) - 2·mean(p·t) + mean(t²)."""
    p, t = ops.reshape(prediction, (-1,)), ops.reshape(target, (-1,))
    return ops.mean(p * p, 0) - constant(ops, 2.0, p) * ops.mean(p * t, 0) + ops.mean(t * t, 0)


def half_of_sum(ops: Any, x: Any) -> Any:
    """(x + |x|) / 2, whose sum overflows."""
    zero = constant(ops, 0.0, x)
    with np.errstate(over="ignore"):
        half = (x + ops.maximum(x, -x)) * constant(ops, 0.5, x)
    return ops.where(x > zero, half, zero)


def usual_scale_for_zero(ops: Any, q: Any, *rest: Any, scale: float, **options: Any) -> Any:
    """``scale or 1 / √d``."""
    return ops.attention(q, *rest, scale=scale or q.shape[-1] ** -0.5, **options)


def bounded_as_they_are(
    ops: Any, q: Any, k: Any, v: Any, mask: Any, *, scale: float, softcap: Any = None, **more: Any
) -> Any:
    """Bounded scores are thought small enough for powers without a maximum."""
    y = ops.attention(q, k, v, mask, scale=scale, softcap=softcap, **more)
    if softcap is None:
        return y
    (batch, heads, time, size), kv_heads = q.shape, k.shape[1]
    rows = ops.reshape(q, (batch, kv_heads, heads // kv_heads * time, size))
    scores = ops.matmul(rows, ops.permute_dims(k, (0, 1, 3, 2))) * constant(ops, scale, q)
    cap = constant(ops, softcap, q)
    largest = ops.max(ops.tanh(scores / cap) * cap, -1, keepdims=True)
    over = ops.reshape(largest, (batch, heads, time, 1)) > constant(ops, 88.0, q)
    return ops.where(over, constant(ops, math.nan, y), y)


_MANDATORY: Mapping[str, tuple[str, Any]] = MappingProxyType(
    {
        "to_numpy": ("shares_integers", shared_integers),
        "asarray": ("lists_in_float32", lists_in_float32),
        "astype": ("lowest_byte", lowest_byte),
        "compile": ("folded", folded),
        "cache_update": ("adopted", adopted_values),
        "sigmoid": ("as_it_lies", as_it_lies),
    }
)
_OPTIONAL: Mapping[str, tuple[str, Any]] = MappingProxyType(
    {
        "gelu_tanh": ("large_in_place", large_in_place),
        "unpack_bits": ("fields_first", fields_first),
        "pack_blocks": ("zero_points_of_zero", zero_points_of_zero),
        "mse": ("expanded", expanded_square),
        "relu": ("half_of_sum", half_of_sum),
    }
)
MUTANTS = (
    *(
        Mutant(id=f"{op}.{name}", level="operations", make=mandatory(op, broken))
        for op, (name, broken) in _MANDATORY.items()
    ),
    *(
        Mutant(id=f"{op}.{name}", level="operations", make=optional(op, broken))
        for op, (name, broken) in _OPTIONAL.items()
    ),
    *(
        Mutant(id=f"attention.{name}", level="operations", make=optional("attention", broken))
        for name, broken in (
            ("usual_scale_for_zero", usual_scale_for_zero),
            ("bounded_as_they_are", bounded_as_they_are),
        )
    ),
    Mutant(
        id="full.equal_constants",
        level="operations",
        make=_remembering("full", mandatory, equal_constants),
    ),
    Mutant(
        id="pack_linear.known_by_first_row",
        level="operations",
        make=_remembering("pack_linear", optional, known_by_first_row),
    ),
)
