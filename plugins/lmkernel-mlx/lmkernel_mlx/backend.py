"""Creates the MLX backend."""

from __future__ import annotations

import functools

import mlx.core as mx

from lmkernel.backend import BackendParts
from lmkernel.composed import assemble
from lmkernel_mlx.ops import MlxOps
from lmkernel_mlx.overrides import overrides

__all__ = ["create"]


def create(device: str) -> BackendParts:
    """Create the parts of the backend on ``device``, such as ``"cpu"``.

    MLX computes on the thread's default device, so the scope makes this one the default.
    """
    kind, _, index = device.partition(":")
    chosen = mx.Device(getattr(mx, kind), int(index or 0))
    mandatory = MlxOps()
    return BackendParts(
        mandatory=mandatory,
        overrides=overrides(assemble(mandatory, {})),
        scope=functools.partial(mx.stream, chosen),
    )
