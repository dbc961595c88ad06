"""Backends that are wrong for numbers of axes and extents that kernels take another way."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.composed.precision import constant
from lmkernel.contract.trees import tree_map
from lmkernel.generation import sampling
from lmkernel_proofs.mutants.mutant import Mutant, Patch, mandatory, optional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MUTANTS"]

_TWO, _THREE, _FOUR = 2, 3, 4
"""Numbers of axes."""
_HEADS, _COLUMNS, _OUTPUTS = 16, 200, 1024
_candidates = sampling._candidates  # noqa: SLF001 - what is patched


def _floating(ops: Any, x: Any) -> bool:
    return str(ops.dtype(x)).startswith("float")


def _part_of_gradient(ops: Any, y: Any, part: float) -> Any:
    """``y`` with so much of its gradient."""
    still = ops.stop_gradient(y)
    return still + (y - still) * constant(ops, part, y)


def largest_finite(ops: Any, shape: Any, value: float, dtype: Any) -> Any:
    """The largest number is filled in for infinity."""
    return ops.full(shape, 3e38 if value == math.inf else value, dtype)


def finite_max(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """A row of -∞ has a largest number."""
    y = ops.max(x, axis, keepdims=keepdims)
    if not _floating(ops, y):
        return y
    return ops.where(y == constant(ops, -math.inf, y), constant(ops, -3e38, y), y)


def first_of_two(ops: Any, x: Any, axis: int) -> Any:
    """The first of a row of two is the largest."""
    y = ops.argmax(x, axis)
    return y - y if x.shape == (_TWO,) else y


def along_the_first(ops: Any, x: Any, indices: Any, axis: int) -> Any:
    """An index without axes is along the first axis, where extents allow it."""
    alone = not indices.shape and x.shape[0] == x.shape[axis]
    return ops.take(x, indices, 0 if alone else axis)


def parts_backwards(ops: Any, arrays: Any, axis: int) -> Any:
    """Parts come from the last on where one is empty."""
    some = [x for x in arrays if x.shape[axis]]
    return ops.concat(arrays if len(some) in (0, len(arrays)) else some[::-1], axis)


def integers_by_float(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """More than four integers are added in float32."""
    y = ops.sum(x, axis, keepdims=keepdims)
    many = ops.dtype(y) == "int32" and x.shape[axis] > _FOUR
    return ops.astype(ops.astype(y, "float32"), "int32") if many else y


def last_column(ops: Any, x: Any, y: Any) -> Any:
    """The last of many columns is the first, for one row."""
    z = ops.matmul(x, y)
    if x.shape[-2] != 1 or y.shape[-1] < _COLUMNS:
        return z
    return ops.concat([z[..., :-1], z[..., :1]], len(z.shape) - 1)


def rough_outputs(ops: Any, x: Any, weight: Any, bias: Any = None, delta: Any = None) -> Any:
    """Outputs after the first thousand have three digits."""
    y = ops.linear(x, weight, bias, delta)
    if y.shape[-1] <= _OUTPUTS:
        return y
    rest = y[..., _OUTPUTS:] * constant(ops, 1.001, y)
    return ops.concat([y[..., :_OUTPUTS], rest], len(y.shape) - 1)


def term_of_four_axes(ops: Any, x: Any, weight: Any, eps: float) -> Any:
    """The added term is ten times as large, for four axes."""
    return ops.rms_norm(x, weight, eps * 10 if len(x.shape) == _FOUR else eps)


def vectors_exchanged(ops: Any, indices: Any, size: int, dtype: Any) -> Any:
    """Vectors of a square of indices are transposed."""
    y = ops.one_hot(indices, size, dtype)
    square = len(indices.shape) == _TWO and indices.shape[0] == indices.shape[1]
    return ops.permute_dims(y, (1, 0, 2)) if square else y


def turns_of_first_row(ops: Any, x: Any, cos: Any, sin: Any) -> Any:
    """More rows than two turn as the first."""
    if x.shape[0] > _TWO:
        cos, sin = (ops.broadcast_to(turn[:1], turn.shape) for turn in (cos, sin))
    return ops.rotate(x, cos, sin)


def rows_alike(ops: Any, key: Any, shape: Any, dtype: Any) -> Any:
    """Matrices of draws of three axes are the first."""
    y = ops.random_uniform(key, shape, dtype)
    return ops.broadcast_to(y[:1], y.shape) if len(shape) == _THREE else y


def rough_heads(ops: Any, queries: Any, *rest: Any, **options: Any) -> Any:
    """Heads after the sixteenth have two digits."""
    y = ops.attention(queries, *rest, **options)
    if queries.shape[1] <= _HEADS:
        return y
    return ops.concat([y[:, :_HEADS], y[:, _HEADS:] * constant(ops, 1.01, y)], 1)


def normalised_targets(ops: Any, logits: Any, target: Any) -> Any:
    """Soft targets are made to sum to one."""
    total = ops.sum(target, -1, keepdims=True)
    none = total == constant(ops, 0.0, total)
    return ops.soft_cross_entropy(
        logits, target / ops.where(none, constant(ops, 1.0, total), total)
    )


def no_gradient_of_casts(ops: Any, x: Any, dtype: Any) -> Any:
    """No gradient comes back from float32 to float64."""
    y = ops.astype(x, dtype)
    return ops.stop_gradient(y) if ops.dtype(x) == "float64" and dtype == "float32" else y


def twice_with_many(ops: Any, f: Callable[..., Any], *, aux: bool = False) -> Callable[..., Any]:
    """With four arguments the gradient is twice what it is."""
    inner = ops.value_and_grad(f, aux=aux)

    def call(*args: Any) -> Any:
        value, gradient = inner(*args)
        doubled = tree_map(lambda x: x + x, gradient) if len(args) >= _FOUR else gradient
        return value, doubled

    return call


def half_of_three(ops: Any, f: Callable[..., Any]) -> Callable[..., Any]:
    """Where several results are computed again, those of three axes have half of the gradient."""

    def halved(y: Any) -> Any:
        return _part_of_gradient(ops, y, 0.5) if len(y.shape) == _THREE else y

    def wrong(*args: Any) -> Any:
        made = f(*args)
        return tuple(map(halved, made)) if isinstance(made, tuple) else made

    again: Callable[..., Any] = ops.remat(wrong)
    return again


def with_all_ties(probabilities: Any, options: Any) -> Any:
    """All that score as the last of the best may be drawn."""
    kept = _candidates(probabilities, options)
    if options.top_k:
        last = np.sort(probabilities)[-min(options.top_k, len(probabilities))]
        kept = kept | (probabilities == last)
    return kept


_MANDATORY: Mapping[str, tuple[str, Callable[..., Any]]] = MappingProxyType(
    {
        "full": ("largest_finite", largest_finite),
        "max": ("finite", finite_max),
        "argmax": ("first_of_two", first_of_two),
        "take": ("along_the_first", along_the_first),
        "concat": ("parts_backwards", parts_backwards),
        "sum": ("many_by_float", integers_by_float),
        "matmul": ("last_column", last_column),
        "random_uniform": ("rows_alike", rows_alike),
    }
)
_OPTIONAL: Mapping[str, tuple[str, Callable[..., Any]]] = MappingProxyType(
    {
        "linear": ("rough_outputs", rough_outputs),
        "rms_norm": ("term_of_four_axes", term_of_four_axes),
        "one_hot": ("vectors_exchanged", vectors_exchanged),
        "rotate": ("turns_of_first_row", turns_of_first_row),
        "attention": ("rough_heads", rough_heads),
        "soft_cross_entropy": ("normalised_targets", normalised_targets),
    }
)


def _of(op: str, name: str, make: Any, level: str = "operations") -> Mutant:
    return Mutant(id=f"{op}.{name}", level=level, make=make)


MUTANTS = (
    *(_of(op, name, mandatory(op, broken)) for op, (name, broken) in _MANDATORY.items()),
    *(_of(op, name, optional(op, broken)) for op, (name, broken) in _OPTIONAL.items()),
    _of("astype", "no_gradient", mandatory("astype", no_gradient_of_casts), "gradients"),
    _of("value_and_grad", "twice", mandatory("value_and_grad", twice_with_many), "gradients"),
    _of("remat", "half_of_three", optional("remat", half_of_three), "gradients"),
    Mutant(
        id="sampling.with_all_ties",
        level="generation",
        patch=Patch("lmkernel.generation.sampling._candidates", with_all_ties),
    ),
)
