"""TensorFlow's own forms of optional operations.

Constraint: XLA fuses the compositions well; here are those that it compiles better in another form.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, final

import tensorflow as tf

from lmkernel_tensorflow.gradients import attend, cross_entropy, gelu, gelu_tanh, layer_norm
from lmkernel_tensorflow.not_a_number import softmax
from lmkernel_tensorflow.shapes import extents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Delta, Ops

__all__ = ["overrides"]

_FEW = 16
"""Up to so many rows XLA splits a product between the processors only where it is told to."""


def overrides(device: str, composed: Ops) -> Mapping[str, Callable[..., Any]]:
    """The overriding operations by name, for ``device``.

    Args:
        device: as TensorFlow calls it.
        composed: the operations without any override, for what these leave out.
    """
    parts = (os.cpu_count() or 1) if device.partition(":")[0] == "cpu" else 1
    return {
        "softmax": softmax(composed.softmax),
        "log_softmax": tf.nn.log_softmax,
        "relu": tf.nn.relu,
        "silu": tf.nn.silu,
        "gelu": gelu,
        "gelu_tanh": gelu_tanh,
        "linear": _Linear(parts),
        "unpack_bits": unpack_bits,
        "layer_norm": layer_norm,
        "attention": _Attention(composed),
        "cross_entropy": cross_entropy,
        "dropout": _Dropout(composed),
    }


def unpack_bits(x: Array, width: int, bits: int = 32) -> Array:
    """By shifts, which XLA fuses with what follows."""
    shifts = tf.range(0, bits, width, dtype=tf.int32)
    fields = tf.bitwise.right_shift(x[..., None], shifts) & ((1 << width) - 1)
    return tf.reshape(fields, extents((*x.shape[:-1], x.shape[-1] * (bits // width))))


@final
class _Attention:
    """Attention with a gradient of its own; with a bias or a cap, the composition."""

    def __init__(self, composed: Ops) -> None:
        self._composed = composed

    def __call__(
        self,
        queries: Array,
        keys: Array,
        values: Array,
        mask: Array | None,
        *,
        scale: float,
        bias: Array | None = None,
        softcap: float | None = None,
    ) -> Array:
        if bias is not None or softcap is not None:
            options: dict[str, Any] = {"scale": scale, "bias": bias, "softcap": softcap}
            return self._composed.attention(queries, keys, values, mask, **options)
        if mask is not None:  # slots that nobody sees may hold anything
            seen = tf.reduce_any(mask, (1, 2))[:, None, :, None]
            keys, values = tf.where(seen, keys, 0), tf.where(seen, values, 0)
        return attend(queries, keys, values, mask, scale)


@final
class _Dropout:
    """The composition, but where the extent of a batch is unknown while a graph is traced."""

    def __init__(self, composed: Ops) -> None:
        self._composed = composed

    def __call__(self, x: Array, key: Array, rate: float) -> Array:
        if x.shape.is_fully_defined():
            return self._composed.dropout(x, key, rate)
        draws = tf.random.stateless_uniform(tf.shape(x), key, alg="philox")
        return tf.where(draws >= rate, x / tf.cast(1 - rate, x.dtype), tf.zeros((), x.dtype))


@final
class _Linear:
    """The affine map; few rows meet the weight in ``parts`` blocks of its rows."""

    def __init__(self, parts: int) -> None:
        self._parts = parts

    def __call__(
        self, x: Array, weight: Array, bias: Array | None = None, delta: Delta | None = None
    ) -> Array:
        rows = tf.reshape(x, (-1, x.shape[-1]))
        y = self._product(rows, weight)
        if bias is not None:
            y = y + bias
        if delta is not None:
            y = y + self._product(self._product(rows, delta[0]), delta[1])
        return tf.reshape(y, extents((*x.shape[:-1], weight.shape[0])))

    def _product(self, rows: Array, weight: Array) -> Array:
        """``rows (n, in)``, ``weight (out, in) -> (n, out)``."""
        (n, into), out = rows.shape, weight.shape[0]
        if n is None or not 1 < n <= _FEW or self._parts == 1 or out % self._parts:
            return tf.matmul(rows, weight, transpose_b=True)
        blocks = tf.reshape(weight, (self._parts, out // self._parts, into))
        shared = tf.broadcast_to(rows, (self._parts, n, into))
        return tf.transpose(tf.reshape(tf.matmul(blocks, shared, transpose_b=True), (out, n)))
