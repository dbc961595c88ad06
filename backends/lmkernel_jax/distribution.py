"""Several processes by JAX's own runtime, and arrays in parts by ``jax.sharding``.

Constraint: arrays look whole in a computation, and XLA sends what it needs. The places of a mesh
are devices, of which a process may have more than one, as on a TPU.
"""

from __future__ import annotations

import atexit
import functools
import os
import sys
from typing import TYPE_CHECKING, Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from lmkernel.composed import assemble
from lmkernel.contract.distribution import Distribution, Mesh, Processes, Spec
from lmkernel.errors import CapabilityError, RunError
from lmkernel_jax.backend import parts_on
from lmkernel_jax.ops import JaxOps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.backend import BackendParts
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["distribute"]

_HEARTBEAT = _LEAVE = 10
"""Seconds without a sign of life after which a process is lost, and that the last ones wait."""
_FRAME = 64
"""Bytes that are exchanged in one message; longer ones take a second."""
_LOST = ("gloo", "coordination", "connection", "peer", "nccl", "unavailable", "aborted")


def distribute(device: str, mesh: Mesh, processes: Processes) -> BackendParts:
    """The parts of the backend on all devices of all processes.

    Raises:
        CapabilityError: one device is named.
        ConfigError: the mesh has another number of places than there are devices.
        RunError: the others do not come.
    """
    kind, _, index = device.partition(":")
    if index:
        raise CapabilityError(
            f"backend 'jax': expected a kind of device for several processes, got {device!r}"
        )
    if kind == "cpu":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    _join(kind, processes)
    mesh = mesh.over(jax.device_count(kind), "devices")
    names, extents = zip(*mesh.axes, strict=True)
    devices = jax.make_mesh(
        extents, names, (AxisType.Auto,) * len(names), devices=jax.devices(kind)
    )
    # what a computation makes by itself is whole on every device
    mandatory = JaxOps(NamedSharding(devices, PartitionSpec()))
    ops = assemble(mandatory, {})
    return parts_on(mandatory, JaxDistribution(ops, devices, mesh, processes))


def _join(kind: str, processes: Processes) -> None:
    if processes.count == 1 or jax.distributed.is_initialized():
        return
    try:
        jax.distributed.initialize(
            f"{processes.host}:{processes.port}",
            processes.count,
            processes.rank,
            local_device_ids=[processes.local] if kind == "gpu" else None,
            cluster_detection_method="deactivate",
            initialization_timeout=max(int(processes.timeout), 1),
            heartbeat_timeout_seconds=_HEARTBEAT,
            shutdown_timeout_seconds=_LEAVE,
        )
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"process {processes.rank} of {processes.count}: cannot join the others at "
            f"{processes.host}:{processes.port}: {str(error).splitlines()[0]}"
        ) from error


@final
class JaxDistribution(Distribution):
    """Arrays over all devices of all processes.

    Args:
        ops: the operations on whole arrays.
        devices: JAX's own mesh.
        mesh, processes: as for `Distribution`.
    """

    def __init__(self, ops: Ops, devices: Any, mesh: Mesh, processes: Processes) -> None:
        super().__init__(mesh, processes)
        self._ops, self._devices = ops, devices
        self._join_parts = jax.jit(lambda x: x, out_shardings=self._sharding(()))

    @property
    def looks_whole(self) -> bool:
        return True

    def place(self, value: Any, dtype: DType, spec: Spec) -> Array:
        host = np.asarray(value).astype(jnp.dtype(dtype))
        return jax.make_array_from_callback(host.shape, self._sharding(spec), host.__getitem__)

    def constrain(self, x: Array, spec: Spec, wanted: Spec) -> Array:
        # without this the gradient could come back whole
        x = jax.lax.with_sharding_constraint(x, self._sharding(spec))
        return jax.lax.with_sharding_constraint(x, self._sharding(wanted))

    def total(self, xs: Sequence[Array], specs: Sequence[Spec]) -> list[Array]:
        shardings = map(self._sharding, specs)
        return list(map(jax.lax.with_sharding_constraint, xs, shardings))

    def norm(self, xs: Sequence[Array], specs: Sequence[Spec]) -> Array:
        del specs
        return self._ops.global_norm(xs)

    def gather(self, x: Array, spec: Spec) -> np.ndarray[Any, Any]:
        del spec
        return self._ops.to_numpy(x if x.is_fully_replicated else self._join_parts(x))

    def exchange(self, data: bytes) -> list[bytes]:
        head = len(data).to_bytes(8, "little")
        frames = self._send((head + data).ljust(_FRAME, b"\0")[:_FRAME])
        sizes = [int.from_bytes(frame[:8], "little") for frame in frames]
        if max(sizes) > _FRAME - 8:
            longer = self._send(data.ljust(max(sizes), b"\0"))
            return [one[:size] for one, size in zip(longer, sizes, strict=True)]
        return [frame[8 : 8 + size] for frame, size in zip(frames, sizes, strict=True)]

    def is_loss(self, error: Exception) -> bool:
        text = str(error).lower()
        return isinstance(error, (RuntimeError, ValueError)) and any(w in text for w in _LOST)

    def close(self, code: int = 0) -> None:
        if code:
            # JAX would wait at exit for those that are gone, and end in an abort
            atexit.register(_leave_at_once, code)
        elif self.processes.count > 1:
            # process 0 may still write the model, and JAX's own barrier would not wait so long
            self.exchange(b"")
            jax.distributed.shutdown()

    def _send(self, data: bytes) -> list[bytes]:
        every = multihost_utils.process_allgather(np.frombuffer(data, np.uint8))
        return [row.tobytes() for row in np.asarray(every)]

    @functools.cache  # noqa: B019 - a process has one of these for as long as it lives
    def _sharding(self, spec: Spec) -> NamedSharding:
        return NamedSharding(self._devices, PartitionSpec(*(names or None for names in spec)))


def _leave_at_once(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
