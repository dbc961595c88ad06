"""TensorFlow's own forms of optional operations.

Constraint: XLA fuses the compositions well; here is only what it does better told otherwise.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, final

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Delta

__all__ = ["overrides"]

_FEW = 16
"""Up to so many rows XLA splits a product between the processors only where it is told to."""


def overrides(device: str) -> Mapping[str, Callable[..., Any]]:
    """The overriding operations by name, for ``device``."""
    parts = (os.cpu_count() or 1) if device.partition(":")[0] == "cpu" else 1
    return {
        "softmax": tf.nn.softmax,
        "log_softmax": tf.nn.log_softmax,
        "relu": tf.nn.relu,
        "silu": tf.nn.silu,
        "linear": _Linear(parts),
    }


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
        return tf.reshape(y, (*x.shape[:-1], weight.shape[0]))

    def _product(self, rows: Array, weight: Array) -> Array:
        """``rows (n, in)``, ``weight (out, in) -> (n, out)``."""
        (n, into), out = rows.shape, weight.shape[0]
        if not 1 < n <= _FEW or self._parts == 1 or out % self._parts:
            return tf.matmul(rows, weight, transpose_b=True)
        blocks = tf.reshape(weight, (self._parts, out // self._parts, into))
        shared = tf.broadcast_to(rows, (self._parts, n, into))
        return tf.transpose(tf.reshape(tf.matmul(blocks, shared, transpose_b=True), (out, n)))
