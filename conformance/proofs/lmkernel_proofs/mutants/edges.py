"""Backends that part from the contract at its edges: NaN, ties, long ranges, views of the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel.composed.precision import constant
from lmkernel_proofs.mutants.mutant import Mutant, mandatory, optional

__all__ = ["MUTANTS"]


def _is_nan(x: Any) -> Any:
    return x != x  # noqa: PLR0124 - as NaN alone is


def max_without_nan(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """NaN is passed over, as by a kernel that compares."""
    return ops.max(ops.where(_is_nan(x), constant(ops, -np.inf, x), x), axis, keepdims=keepdims)


def max_without_late_nan(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """NaN is passed over where there are more numbers than one block has."""
    if x.shape[axis] > 1024:  # noqa: PLR2004 - a block
        return max_without_nan(ops, x, axis, keepdims=keepdims)
    return ops.max(x, axis, keepdims=keepdims)


def larger_without_nan(ops: Any, x: Any, y: Any) -> Any:
    """The number is taken where the other is NaN."""
    return ops.where(_is_nan(x), y, ops.where(_is_nan(y), x, ops.maximum(x, y)))


def smaller_of_comparison(ops: Any, x: Any, y: Any) -> Any:
    """A comparison chooses, so that a NaN on the left is lost."""
    return ops.where(x < y, x, y)


def argmax_without_nan(ops: Any, x: Any, axis: int) -> Any:
    """NaN is the smallest."""
    return ops.argmax(ops.where(_is_nan(x), constant(ops, -np.inf, x), x), axis)


def argmax_in_half(ops: Any, x: Any, axis: int) -> Any:
    """Compared in fewer digits, so that neighbours tie."""
    kind = ops.dtype(x)
    if kind == "int32":
        return ops.argmax(x, axis)
    fewer = {"float64": "float32"}.get(kind, "float16")
    with np.errstate(over="ignore"):
        return ops.argmax(ops.astype(x, fewer), axis)


def _is_finite(ops: Any, x: Any) -> Any:
    """What has a difference to itself."""
    return ops.maximum(x, -x) < constant(ops, np.inf, x)


def max_of_first(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """The whole gradient goes to the first of those that tie."""
    if ops.dtype(x) == "int32" or not x.shape[axis]:
        return ops.max(x, axis, keepdims=keepdims)
    largest = ops.stop_gradient(ops.max(x, axis, keepdims=True))
    size, axes = x.shape[axis], [1] * len(x.shape)
    axes[axis] = size
    first = ops.argmax(x, axis)
    place = [n if i != axis % len(x.shape) else 1 for i, n in enumerate(x.shape)]
    own = ops.reshape(ops.arange(0, size, "int32"), axes) == ops.reshape(first, place)
    change = ops.where(own & _is_finite(ops, x), x - ops.stop_gradient(x), constant(ops, 0.0, x))
    found = largest + ops.sum(change, axis, keepdims=True)
    return found if keepdims else ops.sum(found, axis)


def max_of_all(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """Each of those that tie has the whole gradient."""
    if ops.dtype(x) == "int32" or not x.shape[axis]:
        return ops.max(x, axis, keepdims=keepdims)
    largest = ops.stop_gradient(ops.max(x, axis, keepdims=True))
    tied = (x == largest) & _is_finite(ops, x)
    change = ops.where(tied, x - ops.stop_gradient(x), constant(ops, 0.0, x))
    found = largest + ops.sum(change, axis, keepdims=True)
    return found if keepdims else ops.sum(found, axis)


def larger_twice(ops: Any, x: Any, y: Any) -> Any:
    """At a tie both have the whole gradient."""
    if ops.dtype(x) == "int32":
        return ops.maximum(x, y)
    zero, kept = constant(ops, 0.0, x), ops.stop_gradient(ops.maximum(x, y))
    of_x = ops.where(x >= y, x - ops.stop_gradient(x), zero)
    return kept + of_x + ops.where(y >= x, y - ops.stop_gradient(y), zero)


def concat_three(ops: Any, arrays: Any, axis: int) -> Any:
    """What comes after the third array is joined in reverse."""
    first, rest = list(arrays[:3]), list(arrays[3:])
    return ops.concat([*first, *rest[::-1]], axis)


def integers_by_half(ops: Any, x: Any, dtype: Any) -> Any:
    """Floats become integers through 16 bits, which hold all up to 2,048."""
    if dtype != "int32" or ops.dtype(x) not in ("float32", "float64"):
        return ops.astype(x, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        near = ops.astype(ops.astype(x, "float16"), ops.dtype(x))
        small = (x > constant(ops, -6e4, x)) & (x < constant(ops, 6e4, x))
        return ops.astype(ops.where(small, near, x), dtype)


def range_by_half(ops: Any, start: int, stop: int, dtype: Any) -> Any:
    """A range is counted in 16 bits, which tell integers apart up to 2,048."""
    with np.errstate(over="ignore"):
        near = np.arange(start, stop).astype(np.float16).astype(np.float64)
    return ops.asarray(np.where(np.isfinite(near), near, np.arange(start, stop)), dtype)


def share_strided(ops: Any, value: Any, dtype: Any, *, copy: bool = True) -> Any:
    """A host array that is not contiguous is shared, though a copy was asked for."""
    strided = isinstance(value, np.ndarray) and not value.flags.c_contiguous
    return ops.asarray(value, dtype, copy=copy and not strided)


def hand_out_views(ops: Any, x: Any) -> Any:
    """The host gets the array's own memory."""
    copied = ops.to_numpy(x)
    own = isinstance(x, np.ndarray) and x.flags.writeable and x.dtype == copied.dtype
    return x if own and x.ndim else copied


def softmax_of_numbers(ops: Any, x: Any, axis: int = -1) -> Any:
    """Beside a NaN the shares are zero."""
    right = ops.softmax(x, axis)
    return ops.where(_is_nan(right) & ~_is_nan(x), constant(ops, 0.0, right), right)


def relu_of_comparison(ops: Any, x: Any) -> Any:
    """A comparison chooses, so that NaN becomes zero."""
    zero = constant(ops, 0.0, x)
    return ops.where(x > zero, x, zero)


def mean_of_nothing(ops: Any, logits: Any, targets: Any, smoothing: float = 0.0) -> Any:
    """Losses are scaled by rows / real rows and back, which is 0/0 where none is real."""
    found = ops.cross_entropy(logits, targets, smoothing)
    real = ops.astype(targets >= ops.full((), 0, "int32"), ops.dtype(found))
    share = ops.sum(ops.reshape(real, (-1,)), 0)
    with np.errstate(invalid="ignore"):
        return found * (share / share)


def _of(op: str, name: str, broken: Any, level: str = "operations", row: int = 0) -> Mutant:
    return Mutant(id=f"{op}.{name}", level=level, make=mandatory(op, broken), row=row)


def _optional(op: str, name: str, broken: Any, row: int = 0) -> Mutant:
    return Mutant(id=f"{op}.{name}", level="operations", make=optional(op, broken), row=row)


MUTANTS = (
    _of("max", "without_nan", max_without_nan),
    _of("max", "without_late_nan", max_without_late_nan),
    _of("maximum", "without_nan", larger_without_nan),
    _of("minimum", "of_comparison", smaller_of_comparison),
    _of("argmax", "without_nan", argmax_without_nan),
    _of("argmax", "in_half", argmax_in_half),
    _of("max", "of_first", max_of_first, "gradients"),
    _of("max", "of_all", max_of_all, "gradients"),
    _of("maximum", "twice", larger_twice, "gradients"),
    _of("concat", "after_three", concat_three),
    _of("astype", "integers_by_half", integers_by_half),
    _of("arange", "by_half", range_by_half),
    _of("asarray", "strided_shared", share_strided),
    _of("to_numpy", "views", hand_out_views),
    _optional("softmax", "of_numbers", softmax_of_numbers),
    _optional("relu", "of_comparison", relu_of_comparison),
    _optional("cross_entropy", "nothing_real", mean_of_nothing, 19),
)
