"""What the contract calls an array while a function is traced.

A value has a shape, a dtype, an array's operators and basic slices, and no elements. It wraps
nothing: where nothing is traced, arrays are NumPy's own.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, final

import numpy as np
from onnx.helper import np_dtype_to_tensor_dtype

from lmkernel_onnx.sizes import Size, broadcast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel_onnx.graph import Graph

__all__ = ["Value", "cast_to", "held", "node", "nodes", "number_of", "transposed"]

_BOOL = np.dtype(bool)
_LAST = (1 << 63) - 1
"""What ONNX takes for the end of an axis."""


def cast_to(x: Value, dtype: np.dtype[Any]) -> Value:
    """A value in another dtype; itself where it has that one."""
    if x.dtype == dtype:
        return x
    return node("Cast", [x], dtype, x.shape, to=np_dtype_to_tensor_dtype(dtype))


def held(graph: Graph, x: Any) -> Value:
    """A host array as a constant of a graph."""
    return Value(graph, graph.constant(x), x.dtype, x.shape)


def number_of(size: Size) -> Value:
    """An extent as an int64 array of no axes."""
    whole = Value(size.graph, size.name, np.dtype(np.int64), (1,))
    return node("Squeeze", [whole], whole.dtype, ())


def transposed(x: Value) -> Value:
    """A matrix, its axes exchanged."""
    if x.flipped is not None:
        return x.flipped
    return Value(x.graph, "", x.dtype, x.shape[::-1], flipped=x)


def nodes(
    what: str,
    inputs: Sequence[Any],
    results: Sequence[tuple[np.dtype[Any], Sequence[int]]],
    **options: Any,
) -> list[Value]:
    """Append an ONNX operator to the graph of its inputs.

    Args:
        what: the operator.
        inputs: values, at least one; host arrays, which become constants; names of values.
        results: the dtype and shape of each result.
        options: the operator's attributes.
    """
    graph = max((x.graph for x in inputs if isinstance(x, Value)), key=lambda g: g.depth)
    names = [
        x if isinstance(x, str) else x.name if isinstance(x, Value) else graph.constant(x)
        for x in inputs
    ]
    made = graph.add(what, names, len(results), **options)
    return [
        Value(graph, name, dtype, tuple(shape))
        for name, (dtype, shape) in zip(made, results, strict=True)
    ]


def node(
    what: str, inputs: Sequence[Any], dtype: np.dtype[Any], shape: Sequence[int], **options: Any
) -> Value:
    """Append an operator of one result; see `nodes`."""
    return nodes(what, inputs, [(dtype, shape)], **options)[0]


@final
class Value:
    """A value of a graph.

    Args:
        graph: the graph that computes it.
        name: its name there.
        dtype: NumPy's.
        shape: extents, some of them symbols perhaps.
        flipped: for the transpose of a matrix, that matrix; it is transposed when it is first used
            otherwise than as that matrix.
    """

    __slots__ = ("_name", "dtype", "flipped", "graph", "shape")
    __array_ufunc__ = None  # so that NumPy's arrays leave operators to this class

    def __init__(
        self,
        graph: Graph,
        name: str,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        flipped: Value | None = None,
    ) -> None:
        self.graph, self._name, self.dtype, self.shape = graph, name, np.dtype(dtype), shape
        self.flipped = flipped

    @property
    def name(self) -> str:
        """Its name in the graph."""
        if not self._name and self.flipped is not None:
            self._name = self.graph.add("Transpose", [self.flipped.name], perm=[1, 0])[0]
        return self._name

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def _with(self, what: str, a: Any, b: Any, dtype: np.dtype[Any] | None = None) -> Value:
        # a Python number takes the dtype of the array that it meets
        a, b = (self._beside(x) for x in (a, b))
        return node(what, [a, b], dtype or self.dtype, broadcast(a.shape, b.shape))

    def _beside(self, x: Any) -> Any:
        if isinstance(x, Size):
            return cast_to(number_of(x), self.dtype)
        return x if isinstance(x, (Value, np.ndarray)) else np.array(x, self.dtype)

    def __add__(self, other: Any) -> Value:
        """A sum."""
        return self._with("Add", self, other)

    def __radd__(self, other: Any) -> Value:
        """A sum."""
        return self._with("Add", other, self)

    def __sub__(self, other: Any) -> Value:
        """A difference."""
        return self._with("Sub", self, other)

    def __rsub__(self, other: Any) -> Value:
        """A difference."""
        return self._with("Sub", other, self)

    def __mul__(self, other: Any) -> Value:
        """A product, element by element."""
        return self._with("Mul", self, other)

    def __rmul__(self, other: Any) -> Value:
        """A product, element by element."""
        return self._with("Mul", other, self)

    def __truediv__(self, other: Any) -> Value:
        """A quotient."""
        return self._with("Div", self, other)

    def __rtruediv__(self, other: Any) -> Value:
        """A quotient."""
        return self._with("Div", other, self)

    def __neg__(self) -> Value:
        """The negative."""
        return node("Neg", [self], self.dtype, self.shape)

    def __lt__(self, other: Any) -> Value:
        """Whether it is less."""
        return self._with("Less", self, other, _BOOL)

    def __le__(self, other: Any) -> Value:
        """Whether it is less or equal."""
        return self._with("LessOrEqual", self, other, _BOOL)

    def __gt__(self, other: Any) -> Value:
        """Whether it is greater."""
        return self._with("Greater", self, other, _BOOL)

    def __ge__(self, other: Any) -> Value:
        """Whether it is greater or equal."""
        return self._with("GreaterOrEqual", self, other, _BOOL)

    def __eq__(self, other: object) -> Value:  # type: ignore[override]  # an array's comparison has an element for each
        """Whether it is equal."""
        return self._with("Equal", self, other, _BOOL)

    def __ne__(self, other: object) -> Value:  # type: ignore[override]  # the same
        """Whether it differs."""
        return ~(self == other)

    __hash__ = None  # type: ignore[assignment]  # as NumPy's arrays have none

    def __and__(self, other: Any) -> Value:
        """Whether both hold."""
        return self._with("And", self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Value:
        """Whether one holds."""
        return self._with("Or", self, other)

    __ror__ = __or__

    def __invert__(self) -> Value:
        """Whether it does not hold."""
        return node("Not", [self], _BOOL, self.shape)

    def __getitem__(self, index: Any) -> Value:
        """A part: slices of step 1, whole numbers, and an ellipsis."""
        items = list(index) if isinstance(index, tuple) else [index]
        if any(item is Ellipsis for item in items):
            at = [item is Ellipsis for item in items].index(True)
            items[at : at + 1] = [slice(None)] * (self.ndim - len(items) + 1)
        items += [slice(None)] * (self.ndim - len(items))
        spans = [_span(item, size) for item, size in zip(items, self.shape, strict=True)]
        cut = [(axis, *span) for axis, span in enumerate(spans) if span is not None]
        result = self
        if cut:
            axes, starts, stops, extents = zip(*cut, strict=True)
            shape = list(self.shape)
            for axis, extent in zip(axes, extents, strict=True):
                shape[axis] = extent
            ends = [self.graph.sizes(side) for side in (starts, stops, axes)]
            result = node("Slice", [self, *ends], self.dtype, shape)
        whole = [axis for axis, item in enumerate(items) if not isinstance(item, slice)]
        if not whole:
            return result
        kept = [size for axis, size in enumerate(result.shape) if axis not in whole]
        return node("Squeeze", [result, self.graph.sizes(whole)], self.dtype, kept)


def _span(item: Any, size: int) -> tuple[int, int, int] | None:
    """Start, stop and extent of a slice or index; None for the whole axis."""
    if not isinstance(item, slice):
        at = item if isinstance(item, Size) else operator.index(item)
        return (at, _LAST if at == -1 else at + 1, 1)
    if item.step not in (None, 1):
        raise IndexError(f"expected slices of step 1, got {item}")
    start = 0 if item.start is None else item.start
    stop = size if item.stop is None else item.stop
    if start == 0 and (stop is size or (item.stop is not None and stop >= size)):
        return None
    if start < 0 and item.stop is None:  # the last ones: as many as that, whatever the extent
        extent = min(-start, size)
        return (start, _LAST, extent)
    start = max(size + start, 0) if start < 0 else start
    stop = size + stop if stop < 0 else stop
    stop = min(stop, size)
    if stop <= start:
        return (0, 0, 0)
    return (start, stop, stop - start)
