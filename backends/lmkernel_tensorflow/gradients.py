"""Operations whose gradients are written by hand.

Constraint: left to itself, TensorFlow keeps every intermediate value and reads it again. Here the
backward pass recomputes what is element-wise, so that a large array is written once and read once
each way, and fewer operations are compiled. 16-bit inputs are computed in float32.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from lmkernel_tensorflow.shapes import extents

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.contract.mandatory import Array

    Gradient = Callable[..., Any]

__all__ = ["attend", "cross_entropy", "gelu", "gelu_tanh", "layer_norm"]

_CUBIC = 0.044715
_SLOPE = math.sqrt(2 / math.pi)
_HIDDEN = -1e30
"""The score of a masked slot; its weight is set to zero afterwards."""


def _wide(x: Array) -> Array:
    return tf.cast(x, tf.float32) if x.dtype.size < tf.float32.size else x


# activations


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow is not typed here
def gelu(x: Array) -> tuple[Array, Gradient]:
    """X · Φ(x)."""

    def gradient(g: Array) -> Array:
        z = _wide(x)
        density = tf.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi))
        return tf.cast(_wide(g) * (_normal(z) + z * density), x.dtype)

    z = _wide(x)
    return tf.cast(z * _normal(z), x.dtype), gradient


def _normal(z: Array) -> Array:
    return 0.5 * (1 + tf.math.erf(z * math.sqrt(0.5)))


@tf.custom_gradient  # type: ignore[untyped-decorator]  # the same
def gelu_tanh(x: Array) -> tuple[Array, Gradient]:
    """x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³)))."""

    def gradient(g: Array) -> Array:
        z = _wide(x)
        t, slope = _bend(z), _SLOPE * (1 + 3 * _CUBIC * z * z)
        return tf.cast(_wide(g) * 0.5 * (1 + t + z * (1 - t * t) * slope), x.dtype)

    z = _wide(x)
    return tf.cast(0.5 * z * (1 + _bend(z)), x.dtype), gradient


def _bend(z: Array) -> Array:
    return tf.tanh(_SLOPE * (z + _CUBIC * z * z * z))


# normalisation


def layer_norm(x: Array, weight: Array, bias: Array | None, eps: float) -> Array:
    """Centred first, so that a large mean does not cancel away the variance."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # the same
    def normalize(x: Array, weight: Array, *bias: Array) -> tuple[Array, Gradient]:
        z = _wide(x)
        mean = tf.reduce_mean(z, -1, keepdims=True)
        root = tf.math.rsqrt(tf.reduce_mean(tf.square(z - mean), -1, keepdims=True) + eps)
        y = (z - mean) * root * _wide(weight)

        def gradient(g: Array) -> list[Array]:
            wide = _wide(g)
            scaled, rows = (_wide(x) - mean) * root, list(range(len(x.shape) - 1))
            dx = _norm_slope(wide * _wide(weight), scaled) * root
            found = [dx, tf.reduce_sum(wide * scaled, rows), tf.reduce_sum(wide, rows)]
            return [tf.cast(a, b.dtype) for a, b in zip(found, (x, weight, *bias), strict=False)]

        return tf.cast(y + _wide(bias[0]) if bias else y, x.dtype), gradient

    return normalize(x, weight) if bias is None else normalize(x, weight, bias)


def _norm_slope(inner: Array, scaled: Array) -> Array:
    """What is left of a gradient along neither a shift nor a stretch of the row."""
    along = tf.reduce_mean(inner * scaled, -1, keepdims=True)
    return inner - tf.reduce_mean(inner, -1, keepdims=True) - scaled * along


# losses


def cross_entropy(logits: Array, targets: Array, smoothing: float = 0.0) -> Array:
    """Log Σ exp(x) - (1 - s)·x[target] - s·mean(x); 0 where a target is negative."""
    size = logits.shape[-1]
    classes = tf.reshape(targets, (-1,))
    real = classes >= 0

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # the same
    def entropy(rows: Array) -> tuple[Array, Gradient]:
        x = _wide(rows)
        highest = tf.reduce_max(x, -1, keepdims=True)
        spread = tf.math.log(tf.reduce_sum(tf.exp(x - highest), -1, keepdims=True))
        own = tf.gather(x, tf.maximum(classes, 0)[:, None], axis=1, batch_dims=1) - highest
        losses = spread - (1 - smoothing) * own
        if smoothing:
            losses -= smoothing * tf.reduce_mean(x - highest, -1, keepdims=True)

        def gradient(g: Array) -> Array:
            hit = tf.range(size)[None, :] == classes[:, None]
            slope = tf.exp(_wide(rows) - highest - spread)
            slope -= tf.where(hit, tf.constant(1 - smoothing, x.dtype), 0) + smoothing / size
            return tf.cast(slope * tf.where(real, _wide(g), 0)[:, None], rows.dtype)

        return tf.cast(tf.where(real, losses[:, 0], 0), rows.dtype), gradient

    return tf.reshape(entropy(tf.reshape(logits, (-1, size))), targets.shape)


# attention


def attend(queries: Array, keys: Array, values: Array, mask: Array | None, scale: float) -> Array:
    """softmax(scale · q·kᵀ)·v; query heads of one group are stacked as rows."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # the same
    def attention(queries: Array, keys: Array, values: Array) -> tuple[Array, Gradient]:
        weights = _weights(queries, keys, mask, scale)
        kept = tf.cast(weights, values.dtype)
        mixed = tf.matmul(_stack_groups(kept, keys), values)
        out = tf.reshape(mixed, extents((*queries.shape[:3], values.shape[-1])))

        def gradient(g: Array) -> list[Array]:
            # Σ dP·P over the slots equals Σ g·out over the head, which is far smaller
            along = tf.reduce_sum(_wide(g) * _wide(out), -1, keepdims=True)
            rows = _stack_groups(g, keys)
            slopes = _wide(tf.matmul(rows, values, transpose_b=True))
            slopes = _wide(kept) * (tf.reshape(slopes, extents(kept.shape)) - along) * scale
            slopes = _stack_groups(tf.cast(slopes, keys.dtype), keys)
            dq = tf.reshape(tf.matmul(slopes, keys), extents(queries.shape))
            dk = tf.matmul(_stack_groups(queries, keys), slopes, transpose_a=True)
            dv = tf.matmul(rows, _stack_groups(kept, keys), transpose_a=True)
            return [dq, tf.linalg.matrix_transpose(dk), tf.linalg.matrix_transpose(dv)]

        return out, gradient

    return attention(queries, keys, values)


def _weights(queries: Array, keys: Array, mask: Array | None, scale: float) -> Array:
    """The softmax over the slots that are shown, in float32 or wider; zeros where none is."""
    products = _wide(tf.matmul(_stack_groups(queries, keys), keys, transpose_b=True))
    scores = tf.reshape(products, extents((*queries.shape[:3], keys.shape[2]))) * scale
    # finite, for in a row that sees nothing -inf - -inf would be NaN
    shown = scores if mask is None else tf.where(mask, scores, _HIDDEN)
    powers = tf.exp(shown - tf.reduce_max(shown, -1, keepdims=True))
    if mask is not None:
        powers = tf.where(mask, powers, 0)
    total = tf.reduce_sum(powers, -1, keepdims=True)
    return powers / tf.where(total > 0, total, 1)


def _stack_groups(x: Array, keys: Array) -> Array:
    """``(batch, heads, time, n) -> (batch, kv_heads, heads / kv_heads · time, n)``."""
    batch, kv_heads = keys.shape[:2]
    rows = x.shape[1] // kv_heads * x.shape[2]
    return tf.reshape(x, extents((batch, kv_heads, rows, x.shape[-1])))
