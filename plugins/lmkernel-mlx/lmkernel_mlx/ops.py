"""The mandatory tier on MLX.

Constraints: operations run inside the backend's scope, which sets the device. Arrays are lazy: an
operation extends a graph that is computed when a value is needed, so nothing is compiled here.
"""

# ruff: noqa: D102 - the contract's abstract method documents each operation

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import mlx.core as mx
import numpy as np

from lmkernel.contract.mandatory import Array, MandatoryOps, Tree
from lmkernel.contract.trees import loop_scan
from lmkernel_mlx import wide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lmkernel.contract.capabilities import DType

__all__ = ["MlxOps"]

_DTYPES: Mapping[DType, mx.Dtype] = MappingProxyType(
    {
        "float32": mx.float32,
        "float64": mx.float64,
        "bfloat16": mx.bfloat16,
        "float16": mx.float16,
        "int32": mx.int32,
        "bool": mx.bool_,
    }
)
_NAMES: Mapping[mx.Dtype, DType] = MappingProxyType({kind: name for name, kind in _DTYPES.items()})


@final
class MlxOps(MandatoryOps):
    """MLX's implementation of the mandatory tier."""

    # host transfer, creation, dtype

    def asarray(self, value: Any, dtype: DType, *, copy: bool = True) -> Array:
        del copy  # MLX always copies
        host = np.asarray(value, order="C")
        if min(host.strides, default=0) < 0:  # an extent of one, read backwards
            host = host.copy()
        return mx.array(host, dtype=_DTYPES[dtype])

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        return np.array(x.astype(mx.float32) if x.dtype in (mx.bfloat16, mx.float16) else x)

    def full(self, shape: Sequence[int], value: float, dtype: DType) -> Array:
        return mx.full(tuple(shape), value, dtype=_DTYPES[dtype])

    def arange(self, start: int, stop: int, dtype: DType) -> Array:
        return mx.arange(start, stop, 1, dtype=_DTYPES[dtype])

    def astype(self, x: Array, dtype: DType) -> Array:
        y = x.astype(_DTYPES[dtype])
        return mx.stop_gradient(y) if dtype in ("int32", "bool") else y

    def dtype(self, x: Array) -> DType:
        return _NAMES[x.dtype]

    # shape

    def reshape(self, x: Array, shape: Sequence[int]) -> Array:
        return mx.reshape(x, tuple(shape))

    def permute_dims(self, x: Array, axes: Sequence[int]) -> Array:
        return mx.transpose(x, tuple(axes))

    def broadcast_to(self, x: Array, shape: Sequence[int]) -> Array:
        return mx.broadcast_to(x, tuple(shape))

    def concat(self, arrays: Sequence[Array], axis: int) -> Array:
        return mx.concatenate(list(arrays), axis)

    def take(self, x: Array, indices: Array, axis: int) -> Array:
        return mx.take(x, indices, axis)

    # element-wise

    def exp(self, x: Array) -> Array:
        return wide.exp(x) if x.dtype == mx.float64 else wide.exp_to_the_largest(x)

    def log(self, x: Array) -> Array:
        return mx.log(x)

    def sqrt(self, x: Array) -> Array:
        return mx.sqrt(x)

    def cos(self, x: Array) -> Array:
        return wide.cos(x) if x.dtype == mx.float64 else mx.cos(x)

    def sin(self, x: Array) -> Array:
        return wide.sin(x) if x.dtype == mx.float64 else mx.sin(x)

    def tanh(self, x: Array) -> Array:
        return mx.tanh(x)

    def sigmoid(self, x: Array) -> Array:
        return wide.sigmoid(x) if x.dtype == mx.float64 else mx.sigmoid(x)

    def erf(self, x: Array) -> Array:
        if x.dtype == mx.float64:
            return wide.erf(x)
        return wide.erf_near_zero(x) if x.dtype == mx.float32 else mx.erf(x)

    def minimum(self, x: Array, y: Array) -> Array:
        return mx.minimum(x, y)

    def maximum(self, x: Array, y: Array) -> Array:
        return mx.maximum(x, y)

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        return mx.where(condition, x, y)

    # reductions and products

    def sum(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        if not x.size:  # MLX 0.32 may run for minutes over nothing
            shape = [1 if i == axis % x.ndim else n for i, n in enumerate(x.shape)]
            zeros = mx.zeros(shape, x.dtype)
            return zeros if keepdims else mx.squeeze(zeros, axis)
        return mx.sum(x, axis, keepdims=keepdims)

    def max(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        return mx.max(x, axis, keepdims=keepdims)

    def argmax(self, x: Array, axis: int) -> Array:
        return mx.stop_gradient(mx.argmax(x, axis).astype(mx.int32))

    def matmul(self, x: Array, y: Array) -> Array:
        return mx.matmul(x, y)

    # differentiation, compilation, loops

    def stop_gradient(self, x: Array) -> Array:
        return mx.stop_gradient(x)

    def value_and_grad(
        self, f: Callable[..., Tree], *, aux: bool = False
    ) -> Callable[..., tuple[Tree, Tree]]:
        del aux  # MLX differentiates the first of several results
        return mx.value_and_grad(f)  # type: ignore[no-any-return]  # MLX is not typed here

    def compile(
        self, f: Callable[..., Tree], *, donate: Sequence[int] = (), static: Sequence[int] = ()
    ) -> Callable[..., Tree]:
        del donate, static  # nothing is compiled
        return f

    def scan(
        self,
        f: Callable[[Tree, Tree], tuple[Tree, Tree]],
        init: Tree,
        xs: Tree,
        *,
        reverse: bool = False,
    ) -> tuple[Tree, Tree]:
        return loop_scan(mx.stack, f, init, xs, reverse=reverse)

    # cache and random numbers

    def cache_update(self, buffer: Array, values: Array, start: Array, axis: int) -> Array:
        return mx.slice_update(buffer, values, mx.reshape(start, (1,)), (axis,))

    def random_uniform(self, key: Array, shape: Sequence[int], dtype: DType) -> Array:
        words = key.astype(mx.uint32)
        if dtype != "float64":
            return mx.random.uniform(shape=tuple(shape), dtype=_DTYPES[dtype], key=words)
        coarse, fine = mx.random.uniform(shape=(2, *shape), key=words).astype(mx.float64)
        return (mx.floor(coarse * 2.0**24) + fine) * 2.0**-24  # MLX draws no float64
