"""Creates the TensorFlow backend."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

import tensorflow as tf

from lmkernel.backend import BackendParts, require_present
from lmkernel.composed import assemble
from lmkernel_keras import as_keras
from lmkernel_tensorflow.ops import TensorflowOps
from lmkernel_tensorflow.overrides import overrides

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["create"]


def create(device: str) -> BackendParts:
    """The parts of the backend on ``device``, such as ``"cpu"`` or ``"gpu:1"``.

    Raises:
        CapabilityError: the device is not there.
    """
    require_present("tensorflow", device, ("cpu", "gpu"), _device_count)
    mandatory = TensorflowOps()
    return BackendParts(
        mandatory=mandatory,
        overrides=overrides(device, assemble(mandatory, {})),
        scope=lambda: tf.device(device),
        strict=_strict,
        native={"keras": functools.partial(as_keras, framework="tensorflow")},
    )


def _device_count(kind: str) -> int:
    """How many devices `tf.device` can name: those that a process sees, as it has divided them."""
    # listing the logical devices would say the same, but settles TensorFlow's settings for good
    config = tf.config
    visible = config.get_visible_devices(kind.upper())
    return sum(len(config.get_logical_device_configuration(one) or [one]) for one in visible)


@contextlib.contextmanager
def _strict() -> Iterator[None]:
    """Full float32 products; the setting is the whole process's, so it is restored."""
    kept = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(enabled=False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(kept)
