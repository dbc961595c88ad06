"""Backends whose values are right, and whose gradients take a short way."""

from __future__ import annotations

import math
from typing import Any

from lmkernel.composed.precision import constant
from lmkernel.contract.trees import tree_map
from lmkernel_proofs.mutants.mutant import Mutant, Replacement, mandatory, optional

__all__ = ["MUTANTS"]


def one_of_a_column(ops: Any, condition: Any, x: Any, y: Any) -> Any:
    """A column's gradient is one of those of the elements that it was repeated to."""
    extents = [a.shape[-1] for a in (condition, x, y) if len(a.shape)]
    if len(x.shape) > 1 and x.shape[-1] == 1 and max(extents) > 1:
        rest = ops.broadcast_to(ops.stop_gradient(x), (*x.shape[:-1], max(extents) - 1))
        x = ops.concat([x, rest], -1)
    return ops.where(condition, x, y)


def halved_at_each_pair(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """Pairs are compared one after another, so that each tie halves what came before."""
    largest = ops.take(x, ops.arange(0, 1, "int32"), axis)
    for i in range(1, x.shape[axis]):
        largest = ops.maximum(largest, ops.take(x, ops.arange(i, i + 1, "int32"), axis))
    return largest if keepdims else ops.reshape(largest, ops.max(x, axis).shape)


def numbers_not_stopped(ops: Any, x: Any) -> Any:
    """Numbers without axes are thought constants anyway."""
    return x if tuple(x.shape) == () else ops.stop_gradient(x)


def seven_digits(ops: Any, x: Any) -> Any:
    """2 / √π is 1.128379 in the slope of the error function."""
    y = ops.erf(x)
    short = 1.128379 * math.sqrt(math.pi) / 2
    right = ops.stop_gradient(y)
    return right + (y - right) * constant(ops, short, y)


def nothing_where_gated_by_zero(ops: Any, x: Any) -> Any:
    """What is gated has the result divided by it as its gradient, and none where it is zero."""
    half = x.shape[-1] // 2
    gate, up = x[..., :half], x[..., half:]
    up = ops.where(up == constant(ops, 0.0, up), ops.stop_gradient(up), up)
    return ops.swiglu(ops.concat([gate, up], -1))


def flat_rows(ops: Any, x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """Rows of one number have no gradient."""
    spread = ops.max(x, -1, keepdims=True) + ops.max(-x, -1, keepdims=True)
    flat = ops.stop_gradient(spread) == constant(ops, 0.0, x)
    flat = ops.broadcast_to(flat, x.shape)
    return ops.layer_norm(ops.where(flat, ops.stop_gradient(x), x), weight, bias, eps)


def _ordered_as_text(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _ordered_as_text(part) for name, part in tree.items()}
    if not isinstance(tree, list | tuple):
        return tree
    order = sorted(range(len(tree)), key=str)
    return type(tree)(_ordered_as_text(tree[i]) for i in order)


def _without_empty(tree: Any) -> Any:
    if isinstance(tree, dict):
        kept = {name: _without_empty(part) for name, part in tree.items()}
        return {name: part for name, part in kept.items() if not _is_empty(part)}
    if isinstance(tree, list | tuple):
        return type(tree)(part for part in map(_without_empty, tree) if not _is_empty(part))
    return tree


def _is_empty(tree: Any) -> bool:
    leaves: list[Any] = []
    tree_map(leaves.append, tree)
    return not leaves


def _rebuilt(change: Any) -> Any:
    """Gradients whose trees go through ``change``."""

    def value_and_grad(ops: Any, f: Any, *, aux: bool = False) -> Any:
        right = ops.value_and_grad(f, aux=aux)

        def call(*args: Any) -> Any:
            value, gradient = right(*args)
            return value, change(gradient)

        return call

    return value_and_grad


def _of(op: str, name: str, make: Replacement) -> Mutant:
    return Mutant(id=f"{op}.{name}", level="gradients", make=make)


MUTANTS = (
    _of("where", "one_of_a_column", mandatory("where", one_of_a_column)),
    _of("max", "halved_at_each_pair", mandatory("max", halved_at_each_pair)),
    _of("stop_gradient", "of_arrays_alone", mandatory("stop_gradient", numbers_not_stopped)),
    _of("erf", "slope_of_seven_digits", mandatory("erf", seven_digits)),
    _of("swiglu", "nothing_at_zero", optional("swiglu", nothing_where_gated_by_zero)),
    _of("layer_norm", "flat_rows", optional("layer_norm", flat_rows)),
    _of(
        "value_and_grad", "ordered_as_text", mandatory("value_and_grad", _rebuilt(_ordered_as_text))
    ),
    _of("value_and_grad", "without_empty", mandatory("value_and_grad", _rebuilt(_without_empty))),
)
