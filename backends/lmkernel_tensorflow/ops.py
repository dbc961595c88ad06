"""The mandatory tier on TensorFlow.

Constraint: called inside the backend's scope, which places arrays on its device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np
import tensorflow as tf

from lmkernel.contract.mandatory import Array, MandatoryOps, Tree
from lmkernel.contract.trees import tree_map
from lmkernel_tensorflow import not_a_number
from lmkernel_tensorflow.cache import cache_update
from lmkernel_tensorflow.compiling import CompiledFunction
from lmkernel_tensorflow.loops import scan
from lmkernel_tensorflow.shapes import extents

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmkernel.contract.capabilities import DType

__all__ = ["TensorflowOps"]


@final
class TensorflowOps(MandatoryOps):
    """TensorFlow's implementation of the mandatory tier."""

    def asarray(self, value: Any, dtype: DType, *, copy: bool = True) -> Array:
        del copy  # TensorFlow copies in any case
        return tf.convert_to_tensor(np.asarray(value, dtype=_host(dtype)))

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        narrow = self.dtype(x) in ("bfloat16", "float16")
        return np.array(tf.cast(x, "float32") if narrow else x)

    def full(self, shape: Sequence[int], value: float, dtype: DType) -> Array:
        number = tf.constant(np.asarray(value, dtype=_host(dtype)))
        return tf.fill(tuple(shape), number) if shape else number

    def arange(self, start: int, stop: int, dtype: DType) -> Array:
        return tf.cast(tf.range(start, stop), dtype)

    def astype(self, x: Array, dtype: DType) -> Array:
        return tf.cast(x, dtype)

    def dtype(self, x: Array) -> DType:
        return x.dtype.name  # type: ignore[no-any-return]  # TensorFlow is not typed here

    def reshape(self, x: Array, shape: Sequence[int]) -> Array:
        return tf.reshape(x, extents(shape))

    def permute_dims(self, x: Array, axes: Sequence[int]) -> Array:
        return tf.transpose(x, tuple(axes))

    def broadcast_to(self, x: Array, shape: Sequence[int]) -> Array:
        return tf.broadcast_to(x, tuple(shape))

    def concat(self, arrays: Sequence[Array], axis: int) -> Array:
        return tf.concat(arrays, axis)

    def take(self, x: Array, indices: Array, axis: int) -> Array:
        return tf.gather(x, indices, axis=axis)

    def exp(self, x: Array) -> Array:
        return tf.exp(x)

    def log(self, x: Array) -> Array:
        return tf.math.log(x)

    def sqrt(self, x: Array) -> Array:
        return tf.sqrt(x)

    def cos(self, x: Array) -> Array:
        return tf.cos(x)

    def sin(self, x: Array) -> Array:
        return tf.sin(x)

    def tanh(self, x: Array) -> Array:
        return tf.tanh(x)

    def sigmoid(self, x: Array) -> Array:
        return tf.sigmoid(x)

    def erf(self, x: Array) -> Array:
        # float64 of an infinity is NaN in 2.21; from 30 on erf is 1 and its slope 0 in every dtype
        return tf.math.erf(tf.clip_by_value(x, -30, 30) if x.dtype == tf.float64 else x)

    def minimum(self, x: Array, y: Array) -> Array:
        return not_a_number.minimum(x, y)

    def maximum(self, x: Array, y: Array) -> Array:
        return not_a_number.maximum(x, y)

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        return tf.where(condition, x, y)

    def sum(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        return tf.reduce_sum(x, axis, keepdims)

    def max(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        return not_a_number.largest(x, axis, keepdims=keepdims)

    def argmax(self, x: Array, axis: int) -> Array:
        return not_a_number.argmax(x, axis)

    def matmul(self, x: Array, y: Array) -> Array:
        if x.shape[:-2] != y.shape[:-2]:  # where 2.21 broadcasts by oneDNN it leaves rows unwritten
            front = tf.broadcast_static_shape(x.shape[:-2], y.shape[:-2])
            x, y = (tf.broadcast_to(z, front + z.shape[-2:]) for z in (x, y))
        return tf.matmul(x, y)

    def stop_gradient(self, x: Array) -> Array:
        return tf.stop_gradient(x)

    def value_and_grad(
        self, f: Callable[..., Tree], *, aux: bool = False
    ) -> Callable[..., tuple[Tree, Tree]]:
        def value_and_gradients(tree: Tree, *args: Any) -> tuple[Tree, Tree]:
            watched = tree_map(tf.identity, tree)  # f may close over a leaf, as a constant
            leaves: list[Array] = []
            tree_map(leaves.append, watched)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(leaves)
                result = f(watched, *args)
                value = result[0] if aux else result
            zero = tf.UnconnectedGradients.ZERO
            grads = iter(tape.gradient(value, leaves, unconnected_gradients=zero))
            # a gather's gradient is sparse until it is made a tensor
            return result, tree_map(lambda _: tf.convert_to_tensor(next(grads)), tree)

        return value_and_gradients

    def compile(
        self, f: Callable[..., Tree], *, donate: Sequence[int] = (), static: Sequence[int] = ()
    ) -> Callable[..., Tree]:
        del donate  # XLA reuses what it made itself
        return CompiledFunction(f, static)

    def scan(
        self,
        f: Callable[[Tree, Tree], tuple[Tree, Tree]],
        init: Tree,
        xs: Tree,
        *,
        reverse: bool = False,
    ) -> tuple[Tree, Tree]:
        return scan(f, init, xs, reverse=reverse)

    def cache_update(self, buffer: Array, values: Array, start: Array, axis: int) -> Array:
        return cache_update(buffer, values, start, axis % len(buffer.shape))

    def random_uniform(self, key: Array, shape: Sequence[int], dtype: DType) -> Array:
        return _uniform(key, tuple(shape), dtype)


@tf.function(jit_compile=True)  # type: ignore[untyped-decorator]  # TensorFlow is not typed here
def _uniform(key: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    """Compiled also where nothing else is: XLA's stream is not that of TensorFlow's kernel."""
    return tf.random.stateless_uniform(shape, key, dtype=dtype, alg="philox")


def _host(dtype: DType) -> Any:
    """NumPy's own type of that name; TensorFlow brings the 16-bit ones."""
    return tf.as_dtype(dtype).as_numpy_dtype
