"""The mandatory tier on PaddlePaddle.

Constraints: eager; ``compile`` is the identity. What Paddle itself gets wrong is done otherwise
here (see the table in README.md), and never left to whoever calls.
"""

# ruff: noqa: D102 - the contract's abstract method documents each operation

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np
import paddle

from lmkernel.contract.mandatory import Array, MandatoryOps, Tree
from lmkernel.contract.trees import loop_scan, tree_map
from lmkernel_paddle.draws import two_seeds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lmkernel.contract.capabilities import DType

__all__ = ["PaddleOps"]

_MATRIX = 2
_LEAST: Mapping[Any, float] = MappingProxyType(
    {getattr(paddle, kind): float(np.log(np.finfo(kind).tiny)) for kind in ("float32", "float64")}
)
"""Below it, exp is smaller than the smallest normal number."""


@final
class PaddleOps(MandatoryOps):
    """Paddle's implementation of the mandatory tier, bound to one place."""

    def __init__(self, place: paddle.CPUPlace) -> None:
        self._place = place

    # host transfer, creation, dtype

    def asarray(self, value: Any, dtype: DType, *, copy: bool = True) -> Array:
        del copy  # Paddle always copies
        host = np.asarray(value, order="C")
        return paddle.to_tensor(host, place=self._place).astype(dtype)

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        return np.array(x.numpy())

    def full(self, shape: Sequence[int], value: float, dtype: DType) -> Array:
        return paddle.full(tuple(shape), value, dtype)

    def arange(self, start: int, stop: int, dtype: DType) -> Array:
        return paddle.arange(start, stop, dtype=dtype)

    def astype(self, x: Array, dtype: DType) -> Array:
        y = x.astype(dtype)
        return y.detach() if dtype in ("int32", "bool") else y

    def dtype(self, x: Array) -> DType:
        return str(x.dtype).removeprefix("paddle.")  # type: ignore[return-value]  # the same names

    # shape

    def reshape(self, x: Array, shape: Sequence[int]) -> Array:
        return paddle.reshape(x, tuple(shape))

    def permute_dims(self, x: Array, axes: Sequence[int]) -> Array:
        return paddle.transpose(x, tuple(axes))

    def broadcast_to(self, x: Array, shape: Sequence[int]) -> Array:
        return paddle.broadcast_to(x, tuple(shape))

    def concat(self, arrays: Sequence[Array], axis: int) -> Array:
        return paddle.concat(list(arrays), axis)

    def take(self, x: Array, indices: Array, axis: int) -> Array:
        before = axis % x.ndim
        taken = paddle.index_select(x, paddle.reshape(indices, (-1,)), before)
        return paddle.reshape(taken, (*x.shape[:before], *indices.shape, *x.shape[before + 1 :]))

    # element-wise

    def exp(self, x: Array) -> Array:
        y = paddle.exp(x)
        # Paddle's vectors hold exp near the smallest normal number, however far below x is
        return paddle.where(x < _LEAST[x.dtype], paddle.zeros_like(y), y)

    def log(self, x: Array) -> Array:
        return paddle.log(x)

    def sqrt(self, x: Array) -> Array:
        return paddle.where(paddle.isinf(x) & (x > 0), x, paddle.sqrt(x))  # Paddle's is NaN there

    def cos(self, x: Array) -> Array:
        return paddle.cos(x)

    def sin(self, x: Array) -> Array:
        return paddle.sin(x)

    def tanh(self, x: Array) -> Array:
        return paddle.tanh(x)

    def sigmoid(self, x: Array) -> Array:
        return paddle.nn.functional.sigmoid(x)

    def erf(self, x: Array) -> Array:
        return paddle.erf(x)

    def minimum(self, x: Array, y: Array) -> Array:
        return paddle.minimum(x, y)

    def maximum(self, x: Array, y: Array) -> Array:
        return paddle.maximum(x, y)

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        return paddle.where(condition, x, y)

    # reductions and products

    def sum(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        return paddle.sum(x, axis, keepdim=keepdims, dtype=x.dtype)

    def max(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        return paddle.amax(x, axis, keepdim=keepdims)

    def argmax(self, x: Array, axis: int) -> Array:
        found = paddle.argmax(x, axis)
        if not x.is_floating_point():
            return found.astype("int32")
        lost = paddle.isnan(x).astype("int32")  # Paddle passes over NaN
        first = paddle.argmax(lost, axis)
        return paddle.where(paddle.amax(lost, axis) > 0, first, found).astype("int32")

    def matmul(self, x: Array, y: Array) -> Array:
        # where ranks above two differ and an axis is broadcast, Paddle's gradient raises
        if min(x.ndim, y.ndim) > _MATRIX:
            rank = max(x.ndim, y.ndim)
            x, y = (
                paddle.reshape(z, (1,) * (rank - z.ndim) + tuple(z.shape)) if z.ndim < rank else z
                for z in (x, y)
            )
        return paddle.matmul(x, y)

    # differentiation, compilation, loops

    def stop_gradient(self, x: Array) -> Array:
        return x.detach()

    def value_and_grad(
        self, f: Callable[..., Tree], *, aux: bool = False
    ) -> Callable[..., tuple[Tree, Tree]]:
        def value_and_gradients(tree: Tree, *args: Any) -> tuple[Tree, Tree]:
            leaves: list[Array] = []

            def watch(x: Array) -> Array:
                leaf = x.detach()
                leaf.stop_gradient = False
                leaves.append(leaf)
                return leaf

            with paddle.enable_grad():
                result = f(tree_map(watch, tree), *args)
                value = result[0] if aux else result
                if value.stop_gradient:  # nothing was used
                    return result, tree_map(paddle.zeros_like, tree)
                found = paddle.grad(value, leaves, allow_unused=True)
            pairs = zip(leaves, found, strict=True)
            slopes = iter([paddle.zeros_like(x) if g is None else g.detach() for x, g in pairs])
            return tree_map(lambda x: x.detach(), result), tree_map(lambda _: next(slopes), tree)

        return value_and_gradients

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
        return loop_scan(paddle.stack, f, init, xs, reverse=reverse)

    # cache and random numbers

    def cache_update(self, buffer: Array, values: Array, start: Array, axis: int) -> Array:
        place, first = axis % buffer.ndim, int(start)
        target = buffer if values.stop_gradient else buffer.clone()
        target[(slice(None),) * place + (slice(first, first + values.shape[place]),)] = values
        return target

    def random_uniform(self, key: Array, shape: Sequence[int], dtype: DType) -> Array:
        high, low = (int(word) for word in key.numpy())
        first, second = (
            paddle.uniform(tuple(shape), dtype, 0.0, 1.0, seed) for seed in two_seeds(high, low)
        )
        # the sum of two uniform numbers, less its whole part, is uniform, and depends on all of
        # the key, of which one seed takes 31 bits
        both = first + second
        one = paddle.ones_like(both)
        return paddle.where(both < one, both, both - one)
