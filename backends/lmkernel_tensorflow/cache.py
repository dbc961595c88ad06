"""The update of a KV cache: XLA's dynamic update slice where XLA compiles it, else a selection.

Constraint: TensorFlow has XLA's operation, but not in its public API; without it the selection
serves, which reads and writes the whole buffer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from lmkernel_tensorflow.compiling import inside_xla

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array

try:
    from tensorflow.compiler.tf2xla.ops import gen_xla_ops as xla
except ImportError:
    xla = None

__all__ = ["cache_update"]


def cache_update(buffer: Array, values: Array, start: Array, axis: int) -> Array:
    """``buffer`` with ``values`` at ``start`` (0-d int32) along ``axis``; differentiable."""
    if xla is None or not inside_xla():
        return _select(buffer, values, start, axis)
    zero = tf.zeros_like(start)
    corner = tf.stack([start if i == axis else zero for i in range(len(buffer.shape))])
    if not buffer.dtype.is_floating:
        return xla.xla_dynamic_update_slice(buffer, values, corner)
    return _update_slice(buffer, values, corner)


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow is not typed here
def _update_slice(buffer: Array, values: Array, corner: Array) -> Array:
    """XLA's operation, which has no gradient of its own."""

    def gradient(dy: Array) -> tuple[Array, Array, None]:
        window = xla.xla_dynamic_slice(dy, corner, tf.constant(values.shape.as_list()))
        rest = xla.xla_dynamic_update_slice(dy, tf.zeros_like(values), corner)
        return rest, window, None

    return xla.xla_dynamic_update_slice(buffer, values, corner), gradient


def _select(buffer: Array, values: Array, start: Array, axis: int) -> Array:
    extent, count = buffer.shape[axis], values.shape[axis]
    slots = tf.range(extent) - start
    rows = tf.gather(values, tf.clip_by_value(slots, 0, count - 1), axis=axis)
    inside = tf.reshape(
        (slots >= 0) & (slots < count), (extent,) + (1,) * (len(buffer.shape) - axis - 1)
    )
    return tf.where(inside, rows, buffer)
