"""Creates the MLX backend."""

from __future__ import annotations

import functools

import mlx.core as mx

from lmkernel.backend import BackendParts, require_present
from lmkernel.composed import assemble
from lmkernel_mlx.ops import MlxOps
from lmkernel_mlx.overrides import overrides

__all__ = ["create"]


def create(device: str) -> BackendParts:
    """Create the parts of the backend on ``device``, such as ``"cpu"``.

    MLX computes on the thread's default device, so the scope makes this one the default.

    Raises:
        CapabilityError: the device is not there.
    """
    index = require_present("mlx", device, ("cpu", "gpu"), _device_count)
    chosen = mx.Device(_device_type(device), index)
    mandatory = MlxOps()
    return BackendParts(
        mandatory=mandatory,
        overrides=overrides(assemble(mandatory, {})),
        scope=functools.partial(mx.stream, chosen),
    )


def _device_count(kind: str) -> int:
    count: int = mx.device_count(_device_type(kind))
    return count


def _device_type(device: str) -> mx.DeviceType:
    return mx.cpu if device.partition(":")[0] == "cpu" else mx.gpu
