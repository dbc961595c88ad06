"""The mandatory tier on TensorFlow.

Constraints: called inside the backend's scope, which places arrays on its device. Loops are real
loops (`tf.while_loop`): an unrolled one takes XLA minutes to compile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np
import tensorflow as tf

from lmkernel.contract.mandatory import Array, MandatoryOps, Tree
from lmkernel.contract.trees import tree_map

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmkernel.contract.capabilities import DType

__all__ = ["TensorflowOps"]


@final
class TensorflowOps(MandatoryOps):
    """TensorFlow's implementation of the mandatory tier."""

    def asarray(self, value: Any, dtype: DType, *, copy: bool = True) -> Array:
        host = np.array(value) if copy else np.asarray(value)
        return tf.cast(tf.convert_to_tensor(host), dtype)

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        narrow = self.dtype(x) in ("bfloat16", "float16")
        return np.array(tf.cast(x, "float32") if narrow else x)

    def full(self, shape: Sequence[int], value: float, dtype: DType) -> Array:
        return tf.fill(tuple(shape), tf.cast(value, dtype))

    def arange(self, start: int, stop: int, dtype: DType) -> Array:
        return tf.cast(tf.range(start, stop), dtype)

    def astype(self, x: Array, dtype: DType) -> Array:
        return tf.cast(x, dtype)

    def dtype(self, x: Array) -> DType:
        return x.dtype.name  # type: ignore[no-any-return]  # TensorFlow is not typed here

    def reshape(self, x: Array, shape: Sequence[int]) -> Array:
        return tf.reshape(x, tuple(shape))

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
        return tf.math.erf(x)

    def minimum(self, x: Array, y: Array) -> Array:
        return tf.minimum(x, y)

    def maximum(self, x: Array, y: Array) -> Array:
        return tf.maximum(x, y)

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        return tf.where(condition, x, y)

    def sum(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        return tf.reduce_sum(x, axis, keepdims)

    def max(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        return tf.reduce_max(x, axis, keepdims)

    def argmax(self, x: Array, axis: int) -> Array:
        return tf.argmax(x, axis, output_type=tf.int32)

    def matmul(self, x: Array, y: Array) -> Array:
        return tf.matmul(x, y)

    def stop_gradient(self, x: Array) -> Array:
        return tf.stop_gradient(x)

    def value_and_grad(self, f: Callable[..., Array]) -> Callable[..., tuple[Array, Tree]]:
        def differentiated(tree: Tree, *args: Any) -> tuple[Array, Tree]:
            leaves: list[Array] = []
            tree_map(leaves.append, tree)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(leaves)
                value = f(tree, *args)
            zero = tf.UnconnectedGradients.ZERO
            grads = iter(tape.gradient(value, leaves, unconnected_gradients=zero))
            # a gather's gradient is sparse until it is made a tensor
            return value, tree_map(lambda _: tf.convert_to_tensor(next(grads)), tree)

        return differentiated

    def compile(
        self, f: Callable[..., Tree], *, donate: Sequence[int] = (), static: Sequence[int] = ()
    ) -> Callable[..., Tree]:
        del donate, static  # XLA reuses buffers by itself; plain Python values are constants
        compiled = tf.function(f, jit_compile=True, autograph=False)
        return lambda *args: compiled(*args)

    def scan(
        self,
        f: Callable[[Tree, Tree], tuple[Tree, Tree]],
        init: Tree,
        xs: Tree,
        *,
        reverse: bool = False,
    ) -> tuple[Tree, Tree]:
        leaves: list[Array] = []
        tree_map(leaves.append, xs)
        length = leaves[0].shape[0]

        def at(step: Array) -> Tree:
            return tree_map(lambda x: tf.gather(x, step), xs)

        _, shapes = f(init, at(length - 1 if reverse else 0))  # only for its structure
        stacks = tree_map(lambda y: tf.TensorArray(y.dtype, length, element_shape=y.shape), shapes)

        def body(count: Array, carry: Tree, stacks: Tree) -> tuple[Array, Tree, Tree]:
            step = length - 1 - count if reverse else count
            carry, y = f(carry, at(step))
            return count + 1, carry, tree_map(lambda s, v: s.write(step, v), stacks, y)

        _, carry, stacks = tf.while_loop(
            lambda count, *_: count < length,
            body,
            (tf.constant(0), init, stacks),
            maximum_iterations=length,
        )
        return carry, tree_map(lambda s: s.stack(), stacks)

    def cache_update(self, buffer: Array, values: Array, start: Array, axis: int) -> Array:
        extent, count = buffer.shape[axis], values.shape[axis]
        slots = tf.range(extent) - start
        rows = tf.gather(values, tf.clip_by_value(slots, 0, count - 1), axis=axis)
        inside = tf.reshape(
            (slots >= 0) & (slots < count), (extent,) + (1,) * (len(buffer.shape) - axis - 1)
        )
        return tf.where(inside, rows, buffer)

    def random_uniform(self, key: Array, shape: Sequence[int], dtype: DType) -> Array:
        return tf.random.stateless_uniform(tuple(shape), key, dtype=dtype)
