"""The mandatory tier on NumPy and nothing else; the core composes all other operations.

Constraint: there are no gradients; the plugin declares so, and `value_and_grad` raises.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast, final

import numpy as np

from lmkernel.backend import BackendParts
from lmkernel.contract.mandatory import Array, MandatoryOps, Tree
from lmkernel.contract.trees import loop_scan
from lmkernel.errors import CapabilityError
from lmkernel_minimal.plugin import NO_GRADIENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmkernel.contract.capabilities import DType

__all__ = ["create"]


def create(device: str) -> BackendParts:
    """Create the parts of the backend; the CPU is its only device."""
    del device
    return BackendParts(mandatory=MinimalOps())


@final
class MinimalOps(MandatoryOps):
    """Every operation by NumPy's own function; the contract documents its meaning."""

    # host transfer, creation, dtype

    def asarray(self, value: Any, dtype: DType, *, copy: bool = True) -> Array:
        return np.array(value, dtype, copy=copy or None)

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        return np.array(x)

    def full(self, shape: Sequence[int], value: float, dtype: DType) -> Array:
        return np.full(shape, value, dtype)

    def arange(self, start: int, stop: int, dtype: DType) -> Array:
        return np.arange(start, stop, dtype=dtype)

    def astype(self, x: Array, dtype: DType) -> Array:
        return x.astype(dtype)

    def dtype(self, x: Array) -> DType:
        return cast("DType", x.dtype.name)

    # shape

    def reshape(self, x: Array, shape: Sequence[int]) -> Array:
        return np.reshape(x, shape)

    def permute_dims(self, x: Array, axes: Sequence[int]) -> Array:
        return np.transpose(x, axes)

    def broadcast_to(self, x: Array, shape: Sequence[int]) -> Array:
        return np.broadcast_to(x, shape)

    def concat(self, arrays: Sequence[Array], axis: int) -> Array:
        return np.concatenate(arrays, axis)

    def take(self, x: Array, indices: Array, axis: int) -> Array:
        return np.take(x, indices, axis)

    # element-wise

    def exp(self, x: Array) -> Array:
        return np.exp(x)

    def log(self, x: Array) -> Array:
        return np.log(x)

    def sqrt(self, x: Array) -> Array:
        return np.sqrt(x)

    def cos(self, x: Array) -> Array:
        return np.cos(x)

    def sin(self, x: Array) -> Array:
        return np.sin(x)

    def tanh(self, x: Array) -> Array:
        return np.tanh(x)

    def sigmoid(self, x: Array) -> Array:
        below = np.exp(-np.abs(x))  # at most 1, so nothing overflows
        return np.where(x < 0, below, 1) / (1 + below)

    def erf(self, x: Array) -> Array:
        return np.vectorize(math.erf, otypes=[x.dtype])(x)

    def minimum(self, x: Array, y: Array) -> Array:
        return np.minimum(x, y)

    def maximum(self, x: Array, y: Array) -> Array:
        return np.maximum(x, y)

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        return np.where(condition, x, y)

    # reductions and products

    def sum(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        return x.sum(axis, dtype=x.dtype, keepdims=keepdims)

    def max(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        return x.max(axis, keepdims=keepdims)

    def argmax(self, x: Array, axis: int) -> Array:
        return np.argmax(x, axis).astype("int32")

    def matmul(self, x: Array, y: Array) -> Array:
        return np.matmul(x, y)

    # differentiation, compilation, loops

    def stop_gradient(self, x: Array) -> Array:
        return x

    def value_and_grad(
        self, f: Callable[..., Tree], *, aux: bool = False
    ) -> Callable[..., tuple[Tree, Tree]]:
        del f, aux
        raise CapabilityError(f"backend 'minimal' does not support value_and_grad: {NO_GRADIENTS}")

    def compile(
        self, f: Callable[..., Tree], *, donate: Sequence[int] = (), static: Sequence[int] = ()
    ) -> Callable[..., Tree]:
        del donate, static
        return f

    def scan(
        self,
        f: Callable[[Tree, Tree], tuple[Tree, Tree]],
        init: Tree,
        xs: Tree,
        *,
        reverse: bool = False,
    ) -> tuple[Tree, Tree]:
        return loop_scan(np.stack, f, init, xs, reverse=reverse)

    # cache and random numbers

    def cache_update(self, buffer: Array, values: Array, start: Array, axis: int) -> Array:
        if buffer.base is not None:  # a view, of an array that may still be in use
            buffer = buffer.copy()
        slots = np.moveaxis(buffer, axis, 0)  # so that the buffer is written
        slots[int(start) : int(start) + values.shape[axis]] = np.moveaxis(values, axis, 0)
        return buffer

    def random_uniform(self, key: Array, shape: Sequence[int], dtype: DType) -> Array:
        generator = np.random.default_rng([int(word) for word in key])
        return generator.random(shape, np.dtype(dtype).type)
