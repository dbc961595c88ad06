"""Creates the TensorFlow backend."""

from __future__ import annotations

import tensorflow as tf

from lmkernel.backend import BackendParts
from lmkernel_tensorflow.ops import TensorflowOps

__all__ = ["create"]


def create(device: str) -> BackendParts:
    """The parts of the backend on ``device``, such as ``"cpu"`` or ``"gpu:1"``."""
    return BackendParts(
        mandatory=TensorflowOps(),
        overrides={
            "softmax": tf.nn.softmax,
            "log_softmax": tf.nn.log_softmax,
            "relu": tf.nn.relu,
            "silu": tf.nn.silu,
        },
        scope=lambda: tf.device(device),
    )
