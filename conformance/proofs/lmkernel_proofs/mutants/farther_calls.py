"""Backends that are wrong for axes, masks, structures and calls that shapes don't tell apart."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.components import experts
from lmkernel.composed.precision import constant
from lmkernel.contract.trees import tree_map
from lmkernel_proofs.mutants.mutant import Mutant, Patch, mandatory, optional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MUTANTS"]

_TWO, _THREE, _FOUR = 2, 3, 4
"""Numbers of axes."""
_best = experts.find_best


def _square(x: Any, first: int, second: int) -> bool:
    return bool(x.shape[first] == x.shape[second])


def _part_of_gradient(ops: Any, y: Any, part: float) -> Any:
    """``y`` with so much of its gradient."""
    still = ops.stop_gradient(y)
    return still + (y - still) * constant(ops, part, y)


def sum_of_another_axis(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """The last axis but one of four is taken for the second."""
    if len(x.shape) == _FOUR and axis == -_TWO and _square(x, 1, 2):
        axis = 1
    return ops.sum(x, axis, keepdims=keepdims)


def taken_of_another_axis(ops: Any, x: Any, indices: Any, axis: int) -> Any:
    """The last axis but one of three is taken for the first."""
    if len(x.shape) == _THREE and axis == -_TWO and _square(x, 0, 1):
        axis = 0
    return ops.take(x, indices, axis)


def last_two_exchanged(ops: Any, arrays: Any, axis: int) -> Any:
    """Of three arrays of three axes the last two are exchanged, along the first axis."""
    if len(arrays) == _THREE and axis == 0 and len(arrays[0].shape) == _THREE:
        arrays = [arrays[0], arrays[2], arrays[1]]
    return ops.concat(arrays, axis)


def rows_for_columns(ops: Any, condition: Any, x: Any, y: Any) -> Any:
    """A condition of one row is taken for a column, where both fit."""
    one_row = len(condition.shape) == len(x.shape) == _TWO and condition.shape[0] == 1
    if one_row and x.shape == (condition.shape[1],) * _TWO:
        condition = ops.reshape(condition, (-1, 1))
    return ops.where(condition, x, y)


def rough_where_large(ops: Any, x: Any) -> Any:
    """Roots of large numbers have three digits."""
    y = ops.sqrt(x)
    return ops.where(x > constant(ops, 1e30, x), y * constant(ops, 1.001, x), y)


def none_where_small(ops: Any, x: Any) -> Any:
    """Sines of small angles are zero."""
    near = ops.maximum(x, -x) < constant(ops, 1e-4, x)
    return ops.where(near, constant(ops, 0.0, x), ops.sin(x))


def shallow_log(ops: Any, x: Any) -> Any:
    """Logarithms have a lower bound, but for zero."""
    bound = constant(ops, 2.0**-110, x)
    near = (x > constant(ops, 1e-37, x)) & (x < bound)
    return ops.log(ops.where(near, bound, x))


def first_of_three(ops: Any, x: Any, y: Any) -> Any:
    """A matrix times many is the product with the first of them."""
    flat = len(x.shape) == _TWO and len(y.shape) == _THREE
    return ops.matmul(x, ops.broadcast_to(y[:1], y.shape) if flat else y)


def inner_left_out(ops: Any, x: Any, shape: Any) -> Any:
    """An extent that is left out in the middle is taken for the last."""
    middle = len(shape) == _FOUR and shape[2] == -1
    if not middle:
        return ops.reshape(x, shape)
    return ops.permute_dims(ops.reshape(x, (*shape[:2], shape[3], -1)), (0, 1, 3, 2))


def reversed_outputs(
    ops: Any, f: Any, init: Any, xs: Any, *, reverse: bool = False
) -> tuple[Any, Any]:
    """Outputs that are named come in the order of the loop."""
    end, made = ops.scan(f, init, xs, reverse=reverse)
    if not (reverse and isinstance(made, dict)):
        return end, made

    def turned(y: Any) -> Any:
        return ops.take(y, ops.asarray(np.arange(y.shape[0])[::-1], "int32"), 0)

    return end, tree_map(turned, made)


def by_hash(ops: Any, f: Callable[..., Any], *, donate: Any = (), static: Any = ()) -> Any:
    """Static arguments are found by their hash."""
    compiled = ops.compile(f, donate=donate, static=static)
    known: dict[Any, dict[int, Any]] = {}

    def call(*args: Any) -> Any:
        key = tuple((type(args[i]), hash(args[i])) for i in static)
        found = known.setdefault(key, {i: args[i] for i in static})
        return compiled(*(found.get(i, x) for i, x in enumerate(args)))

    return call


def by_first_row(ops: Any, queries: Any, keys: Any, values: Any, mask: Any, **options: Any) -> Any:
    """A mask of slots alone is the first row's, where queries are as many as slots."""
    slots = mask is not None and mask.shape[1:3] == (1, 1) and queries.shape[2] == keys.shape[2]
    if slots and mask.shape[0] > 1:
        mask = ops.broadcast_to(mask[:1], mask.shape)
    return ops.attention(queries, keys, values, mask, **options)


def empty_when_large(ops: Any, cache: Any, capacity: int) -> Any:
    """A cache that grows beyond 64 slots is empty."""
    grown = ops.cache_grow(cache, capacity)
    large = capacity > 64  # noqa: PLR2004 - slots
    return tree_map(lambda x: x - x, grown) if large else grown


def mean_of_repeated(ops: Any, x: Any, shape: Any) -> Any:
    """What is repeated along three axes has the mean of its gradients along the first."""
    y = ops.broadcast_to(x, shape)
    vector = len(x.shape) == 1 and len(shape) == _THREE and ops.dtype(x).startswith("float")
    return _part_of_gradient(ops, y, 1 / shape[0]) if vector else y


def lists_for_tuples(ops: Any, f: Callable[..., Any], *, aux: bool = False) -> Callable[..., Any]:
    """The gradient of a tuple within a mapping is a list."""
    inner = ops.value_and_grad(f, aux=aux)

    def listed(tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        return {n: list(x) if isinstance(x, tuple) else listed(x) for n, x in tree.items()}

    def call(*args: Any) -> Any:
        value, gradient = inner(*args)
        return value, listed(gradient)

    return call


def let_by(ops: Any, x: Any) -> Any:
    """Gradients are not stopped where there are five axes."""
    return x if len(x.shape) > _FOUR else ops.stop_gradient(x)


def of_half_the_numbers(ops: Any, prediction: Any, target: Any) -> Any:
    """The gradient of a mean over three axes is half of it."""
    y = ops.mse(prediction, target)
    return _part_of_gradient(ops, y, 0.5) if len(prediction.shape) == _THREE else y


def norm_without_nan(ops: Any, arrays: Any) -> Any:
    """A norm that is no number is zero."""
    y = ops.global_norm(arrays)
    return ops.where(y == y, y, constant(ops, 0.0, y))  # noqa: PLR0124 - NaN


def second_for_last(ops: Any, scores: Any, count: int) -> Any:
    """Of three and more the last but one comes twice."""
    indices, values = _best(ops, scores, count)
    return ([*indices[:-1], indices[-2]], values) if count >= _THREE else (indices, values)


def penalised_each_time(scores: Any, history: Any, factor: float) -> None:
    """What came before is penalised as often as it came."""
    for token in history:
        scores[token] = scores[token] / factor if scores[token] > 0 else scores[token] * factor


_OPERATIONS: Mapping[str, tuple[str, Callable[..., Any]]] = MappingProxyType(
    {
        "sum": ("of_another_axis", sum_of_another_axis),
        "take": ("of_another_axis", taken_of_another_axis),
        "concat": ("last_two_exchanged", last_two_exchanged),
        "where": ("rows_for_columns", rows_for_columns),
        "sqrt": ("rough_where_large", rough_where_large),
        "sin": ("none_where_small", none_where_small),
        "log": ("shallow", shallow_log),
        "matmul": ("first_of_three", first_of_three),
        "reshape": ("inner_left_out", inner_left_out),
        "scan": ("reversed_outputs", reversed_outputs),
        "compile": ("by_hash", by_hash),
    }
)
_GRADIENTS: Mapping[str, tuple[str, Callable[..., Any]]] = MappingProxyType(
    {
        "broadcast_to": ("mean_of_repeated", mean_of_repeated),
        "value_and_grad": ("lists_for_tuples", lists_for_tuples),
        "stop_gradient": ("let_by", let_by),
    }
)
_NORM, _MSE = optional("global_norm", norm_without_nan), optional("mse", of_half_the_numbers)


def _mandatory(level: str, table: Mapping[str, tuple[str, Callable[..., Any]]]) -> list[Mutant]:
    return [
        Mutant(id=f"{op}.{name}", level=level, make=mandatory(op, broken))
        for op, (name, broken) in table.items()
    ]


MUTANTS = (
    *_mandatory("operations", _OPERATIONS),
    *_mandatory("gradients", _GRADIENTS),
    Mutant(
        id="attention.by_first_row", level="operations", make=optional("attention", by_first_row)
    ),
    Mutant(
        id="cache_grow.empty_when_large",
        level="operations",
        make=optional("cache_grow", empty_when_large),
    ),
    Mutant(id="mse.of_half_the_numbers", level="gradients", make=_MSE),
    Mutant(id="global_norm.without_nan", level="training", make=_NORM),
    Mutant(
        id="farther.second_for_last",
        level="components",
        patch=Patch("lmkernel.components.experts.find_best", second_for_last),
    ),
    Mutant(
        id="farther.penalised_each_time",
        level="generation",
        patch=Patch("lmkernel.generation.sampling.penalise", penalised_each_time),
    ),
)
