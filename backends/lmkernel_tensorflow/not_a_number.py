"""NaN in maxima and minima, which the contract keeps and TensorFlow loses.

XLA compiles maxima for a processor as if there were no NaN (its ``xla_cpu_enable_fast_min_max``, a
setting of the whole process), the kernel of `tf.argmax` passes over it, and that of `tf.nn.softmax`
gives zeros beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from lmkernel_tensorflow.compiling import inside_xla

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.contract.mandatory import Array

__all__ = ["argmax", "largest", "maximum", "minimum", "softmax"]


def maximum(x: Array, y: Array) -> Array:
    """The larger of two arrays, or NaN where one of them is."""
    if not inside_xla():
        return tf.maximum(x, y)
    return tf.where((x >= y) | tf.not_equal(x, x), x, y)  # where y is NaN, the comparison is false


def minimum(x: Array, y: Array) -> Array:
    """The smaller of two arrays, or NaN where one of them is."""
    if not inside_xla():
        return tf.minimum(x, y)
    return tf.where((x <= y) | tf.not_equal(x, x), x, y)


def largest(x: Array, axis: int, *, keepdims: bool) -> Array:
    """The maximum along one axis, or NaN where one is there."""
    found = tf.reduce_max(x, axis, keepdims)
    if not (inside_xla() and x.dtype.is_floating):
        return found
    lost = tf.reduce_any(tf.math.is_nan(x), axis, keepdims)
    return tf.where(lost, tf.constant(float("nan"), x.dtype), found)


def argmax(x: Array, axis: int) -> Array:
    """The index of the first NaN along one axis, or else of the first maximum."""
    found = tf.argmax(x, axis, output_type=tf.int32)
    if not x.dtype.is_floating:
        return found
    lost = tf.cast(tf.math.is_nan(x), tf.int32)
    first = tf.argmax(lost, axis, output_type=tf.int32)
    return tf.where(tf.reduce_max(lost, axis) > 0, first, found)


def softmax(composed: Callable[..., Array]) -> Callable[..., Array]:
    """`tf.nn.softmax` where XLA compiles it, ``composed`` where TensorFlow's kernel would run."""

    def call(x: Array, axis: int = -1) -> Array:
        return tf.nn.softmax(x, axis) if inside_xla() else composed(x, axis)

    return call
