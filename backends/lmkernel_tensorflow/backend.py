"""Creates the TensorFlow backend."""

from __future__ import annotations

import tensorflow as tf

from lmkernel.backend import BackendParts
from lmkernel.composed import assemble
from lmkernel_tensorflow.ops import TensorflowOps
from lmkernel_tensorflow.overrides import overrides

__all__ = ["create"]


def create(device: str) -> BackendParts:
    """The parts of the backend on ``device``, such as ``"cpu"`` or ``"gpu:1"``."""
    mandatory = TensorflowOps()
    return BackendParts(
        mandatory=mandatory,
        overrides=overrides(device, assemble(mandatory, {})),
        scope=lambda: tf.device(device),
    )
