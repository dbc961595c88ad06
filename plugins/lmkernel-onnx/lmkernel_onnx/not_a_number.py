"""Maxima that are NaN where a number is, as the contract has it and ONNX Runtime does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmkernel_onnx.values import cast_to, node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel_onnx.values import Value

__all__ = ["first_largest", "largest"]

_INT = np.dtype(np.int32)
_LONG = np.dtype(np.int64)


def largest(x: Value, axis: int, shape: Sequence[int], *, keepdims: bool) -> Value:
    """The maximum along an axis."""

    def reduced(value: Value) -> Value:
        axes = value.graph.sizes([axis])
        return node("ReduceMax", [value, axes], value.dtype, shape, keepdims=int(keepdims))

    found = reduced(x)
    if x.dtype.kind != "f":
        return found
    lost = reduced(_not_numbers(x)) > 0
    return node("Where", [lost, np.array(np.nan, x.dtype), found], x.dtype, shape)


def first_largest(x: Value, axis: int, shape: Sequence[int]) -> Value:
    """int64 index of the first maximum along an axis; NaN is the largest."""

    def index(value: Value) -> Value:
        return node("ArgMax", [value], _LONG, shape, axis=axis, keepdims=0)

    found = index(x)
    if x.dtype.kind != "f":
        return found
    lost = _not_numbers(x)
    some = node("ReduceMax", [lost, x.graph.sizes([axis])], _INT, shape, keepdims=0) > 0
    return node("Where", [some, index(lost), found], _LONG, shape)


def _not_numbers(x: Value) -> Value:
    """1 where an element is NaN, else 0."""
    return cast_to(node("IsNaN", [x], np.dtype(bool), x.shape), _INT)
