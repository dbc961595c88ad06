"""The mandatory tier on ONNX Runtime.

Constraints: each operation appends to the graph of its arguments while a function is traced. On
host arrays it is traced by itself, and that graph is run, so both ways compute the same. There are
no gradients; the plugin declares so.
"""

# ruff: noqa: D102 - the contract's abstract method documents each operation

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, final

import numpy as np

from lmkernel.contract.capabilities import WIDE
from lmkernel.contract.mandatory import Array, MandatoryOps, Tree
from lmkernel.contract.trees import loop_scan
from lmkernel.errors import CapabilityError
from lmkernel_onnx import wide
from lmkernel_onnx.loops import traced_scan
from lmkernel_onnx.not_a_number import first_largest, largest
from lmkernel_onnx.plugin import NO_GRADIENTS
from lmkernel_onnx.sizes import Size, broadcast, product
from lmkernel_onnx.tracing import alone, compile_function, traced_here
from lmkernel_onnx.values import Value, cast_to, held, node, number_of, transposed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmkernel.contract.capabilities import DType

__all__ = ["OnnxOps"]

_LONG = np.dtype(np.int64)
_END = (1 << 63) - 1
"""What ONNX takes for the end of an axis."""


@final
class OnnxOps(MandatoryOps):
    """ONNX Runtime's implementation of the mandatory tier."""

    # host transfer, creation, dtype

    def asarray(self, value: Any, dtype: DType, *, copy: bool = True) -> Array:
        return np.array(value, dtype) if copy else np.asarray(value, dtype)

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        return np.array(x)

    def full(self, shape: Sequence[int], value: float, dtype: DType) -> Array:
        if isinstance(value, Size):
            one = cast_to(number_of(value), np.dtype(dtype))
            return node("Expand", [one, value.graph.sizes(shape)], one.dtype, shape)
        symbol = next((size for size in shape if isinstance(size, Size)), None)
        if symbol is None:
            return np.full(tuple(shape), value, dtype)
        one = held(symbol.graph, np.full((), value, dtype))
        return node("Expand", [one, symbol.graph.sizes(shape)], one.dtype, shape)

    def arange(self, start: int, stop: int, dtype: DType) -> Array:
        symbol = next((end for end in (start, stop) if isinstance(end, Size)), None)
        if symbol is None:
            return np.arange(start, stop, dtype=dtype)
        ends = [
            number_of(end) if isinstance(end, Size) else np.array(end, _LONG)
            for end in (start, stop)
        ]
        found = node("Range", [*ends, np.array(1, _LONG)], _LONG, (stop - start,))
        return cast_to(found, np.dtype(dtype))

    @alone(1)
    def astype(self, x: Array, dtype: DType) -> Array:
        return cast_to(x, np.dtype(dtype))

    def dtype(self, x: Array) -> DType:
        return cast("DType", x.dtype.name)

    # shape

    @alone(1)
    def reshape(self, x: Array, shape: Sequence[int]) -> Array:
        if any(size == -1 for size in shape):
            known = product([size for size in shape if size != -1])
            rest = product(x.shape) // known
            shape = [rest if size == -1 else size for size in shape]
        return node("Reshape", [x, x.graph.sizes(shape)], x.dtype, shape, allowzero=1)

    @alone(1)
    def permute_dims(self, x: Array, axes: Sequence[int]) -> Array:
        order = [axis % len(x.shape) for axis in axes]
        if order == [1, 0]:
            return transposed(x)
        return node("Transpose", [x], x.dtype, [x.shape[axis] for axis in order], perm=order)

    @alone(1)
    def broadcast_to(self, x: Array, shape: Sequence[int]) -> Array:
        return node("Expand", [x, x.graph.sizes(shape)], x.dtype, shape)

    @alone(1)
    def concat(self, arrays: Sequence[Array], axis: int) -> Array:
        first = arrays[0]
        axis %= len(first.shape)
        shape = list(first.shape)
        for other in arrays[1:]:
            shape[axis] = shape[axis] + other.shape[axis]
        return node("Concat", arrays, first.dtype, shape, axis=axis)

    @alone(2)
    def take(self, x: Array, indices: Array, axis: int) -> Array:
        axis %= len(x.shape)
        if axis == 0 and isinstance(x, Value) and x.flipped is not None:
            # rows of a transpose, which need not be made
            rank = len(indices.shape)
            columns = _gather(x.flipped, indices, 1)
            order = [*range(1, rank + 1), 0]
            shape = [*indices.shape, x.shape[1]]
            return node("Transpose", [columns], x.dtype, shape, perm=order)
        return _gather(x, indices, axis)

    # element-wise

    @alone(1)
    def exp(self, x: Array) -> Array:
        return _map("Exp", x)

    @alone(1)
    def log(self, x: Array) -> Array:
        return _map("Log", x)

    @alone(1)
    def sqrt(self, x: Array) -> Array:
        return _map("Sqrt", x)

    @alone(1)
    def cos(self, x: Array) -> Array:
        return _map("Cos", x)

    @alone(1)
    def sin(self, x: Array) -> Array:
        return _map("Sin", x)

    @alone(1)
    def tanh(self, x: Array) -> Array:
        return _map("Tanh", x)

    @alone(1)
    def sigmoid(self, x: Array) -> Array:
        # ONNX Runtime's own is a quotient of polynomials, zero from -18 on and less exact than this
        return 1.0 / (_map("Exp", -x) + 1.0)

    @alone(1)
    def erf(self, x: Array) -> Array:
        return wide.erf(x) if x.dtype == np.float64 else _map("Erf", x)

    @alone(2)
    def minimum(self, x: Array, y: Array) -> Array:
        return node("Min", [x, y], x.dtype, broadcast(x.shape, y.shape))

    @alone(2)
    def maximum(self, x: Array, y: Array) -> Array:
        return node("Max", [x, y], x.dtype, broadcast(x.shape, y.shape))

    @alone(3)
    def where(self, condition: Array, x: Array, y: Array) -> Array:
        shape = broadcast(condition.shape, x.shape, y.shape)
        if x.dtype != np.bool_:
            return node("Where", [condition, x, y], x.dtype, shape)
        # ONNX Runtime chooses no booleans
        return (condition & x) | (node("Not", [condition], x.dtype, condition.shape) & y)

    # reductions and products

    @alone(1)
    def sum(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        axes, shape = x.graph.sizes([axis % len(x.shape)]), _reduced(x, axis, keepdims=keepdims)
        return node("ReduceSum", [x, axes], x.dtype, shape, keepdims=int(keepdims))

    @alone(1)
    def max(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        shape = _reduced(x, axis, keepdims=keepdims)
        return largest(x, axis % len(x.shape), shape, keepdims=keepdims)

    @alone(1)
    def argmax(self, x: Array, axis: int) -> Array:
        found = first_largest(x, axis % len(x.shape), _reduced(x, axis, keepdims=False))
        return cast_to(found, np.dtype(np.int32))

    @alone(2, threads=None)
    def matmul(self, x: Array, y: Array) -> Array:
        shape = (*broadcast(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1])
        return node("MatMul", [x, y], x.dtype, shape)

    # differentiation, compilation, loops

    def stop_gradient(self, x: Array) -> Array:
        return x

    def value_and_grad(
        self, f: Callable[..., Tree], *, aux: bool = False
    ) -> Callable[..., tuple[Tree, Tree]]:
        del f, aux
        raise CapabilityError(f"backend 'onnx' does not support value_and_grad: {NO_GRADIENTS}")

    def compile(
        self, f: Callable[..., Tree], *, donate: Sequence[int] = (), static: Sequence[int] = ()
    ) -> Callable[..., Tree]:
        del donate  # ONNX Runtime writes results to memory of its own
        return compile_function(f, static=tuple(static))

    def scan(
        self,
        f: Callable[[Tree, Tree], tuple[Tree, Tree]],
        init: Tree,
        xs: Tree,
        *,
        reverse: bool = False,
    ) -> tuple[Tree, Tree]:
        if traced_here((init, xs)):
            return traced_scan(f, init, xs, reverse=reverse)
        return loop_scan(self._stack, f, init, xs, reverse=reverse)

    def _stack(self, arrays: Sequence[Array]) -> Array:
        return self.concat([self.reshape(x, (1, *x.shape)) for x in arrays], 0)

    # cache and random numbers

    @alone(3)
    def cache_update(self, buffer: Array, values: Array, start: Array, axis: int) -> Array:
        axis %= len(buffer.shape)
        first = node("Reshape", [cast_to(start, _LONG), np.array([1])], _LONG, (1,))
        last = node("Add", [first, first.graph.sizes([values.shape[axis]])], _LONG, (1,))
        # what lies before and after the new values; how long each is, only `start` knows
        before = node("Slice", [buffer, _at(0), first, _at(axis)], buffer.dtype, buffer.shape)
        after = node("Slice", [buffer, last, _at(_END), _at(axis)], buffer.dtype, buffer.shape)
        return node("Concat", [before, values, after], buffer.dtype, buffer.shape, axis=axis)

    def random_uniform(self, key: Array, shape: Sequence[int], dtype: DType) -> Array:
        philox = np.random.Philox(key=np.asarray(key, dtype=np.uint64))
        # drawn in its own dtype: what is cut to fewer bits later is rounded, to one at last
        drawn = np.random.Generator(philox).random(tuple(shape), WIDE.get(dtype, dtype))  # type: ignore[arg-type]  # NumPy's stubs know no names of dtypes
        return drawn.astype(dtype)


def _at(place: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array([place], _LONG)


def _map(what: str, x: Array) -> Array:
    return node(what, [x], x.dtype, x.shape)


def _gather(x: Array, indices: Array, axis: int) -> Array:
    shape = [*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]]
    return node("Gather", [x, indices], x.dtype, shape, axis=axis)


def _reduced(x: Array, axis: int, *, keepdims: bool) -> list[int]:
    axis %= len(x.shape)
    middle = [1] if keepdims else []
    return [*x.shape[:axis], *middle, *x.shape[axis + 1 :]]
