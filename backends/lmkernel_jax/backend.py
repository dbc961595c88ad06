"""Creates the JAX backend."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import jax

from lmkernel.backend import BackendParts, require_present
from lmkernel.composed import assemble
from lmkernel_jax.function import as_function
from lmkernel_jax.ops import JaxOps
from lmkernel_jax.overrides import overrides
from lmkernel_keras import as_keras

if TYPE_CHECKING:
    from lmkernel.contract.distribution import Distribution

__all__ = ["create", "parts_on"]


def create(device: str) -> BackendParts:
    """The parts of the backend on ``device``, such as ``"cpu"`` or ``"gpu:1"``.

    Raises:
        CapabilityError: the device is not there.
    """
    index = require_present("jax", device, ("cpu", "gpu", "tpu"), _device_count)
    return parts_on(JaxOps(jax.local_devices(backend=device.partition(":")[0])[index]))


def parts_on(mandatory: JaxOps, distribution: Distribution | None = None) -> BackendParts:
    """The parts around a mandatory tier, on one process or on several."""
    return BackendParts(
        mandatory=mandatory,
        overrides=overrides(assemble(mandatory, {})),
        scope=_wide_types,
        strict=functools.partial(jax.default_matmul_precision, "highest"),
        native={"function": as_function, "keras": functools.partial(as_keras, framework="jax")},
        distribution=distribution,
    )


def _device_count(kind: str) -> int:
    try:
        return len(jax.local_devices(backend=kind))
    except RuntimeError:  # JAX knows no other answer for a kind that is not there
        return 0


def _wide_types() -> jax.enable_x64:
    """JAX's 64-bit types, for this thread and until the scope is left."""
    return jax.enable_x64(True)  # noqa: FBT003 - JAX's parameter is positional only
