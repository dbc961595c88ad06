"""Several processes by ``torch.distributed``: gloo between processors, NCCL between CUDA devices.

Constraint: a computation sees this process's part as an ordinary tensor, so that every kernel runs
as it does in one process. Joining the parts of a weight, and adding up its gradients into parts,
each send the (n-1)/n of it that a ring sends; gloo's own reduce-scatter sends twice that.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import distributed
from torch.autograd.function import once_differentiable
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.experimental import implicit_replication

from lmkernel.contract.distribution import Distribution, Mesh, Processes, Spec
from lmkernel.errors import CapabilityError, RunError
from lmkernel_torch.backend import create
from lmkernel_torch.divided import DIVIDED, reshape, whole
from lmkernel_torch.ops import TorchOps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lmkernel.backend import BackendParts
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, MandatoryOps

__all__ = ["distribute"]

_ENGINES = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
_BUCKET = 1 << 23
"""Numbers that are added up in one message."""
_PATIENCE = timedelta(minutes=30)
"""So long one may write a checkpoint while the others wait for it."""
_LOST = ("gloo", "connection", "peer", "nccl", "timed out", "socket")


def distribute(device: str, mesh: Mesh, processes: Processes) -> BackendParts:
    """The parts of the backend on this process's device, joined with the others.

    Raises:
        CapabilityError: the device has no such engine, or the mesh an axis that is not supported.
        RunError: the others do not come.
    """
    kind, _, index = device.partition(":")
    if kind not in _ENGINES:
        raise CapabilityError(
            f"backend 'torch': expected one of {', '.join(_ENGINES)} for several processes, "
            f"got {device!r}"
        )
    mesh = mesh.over(processes.count, "processes")
    own = device if kind == "cpu" or index else f"{kind}:{processes.local}"
    parts = create(own)
    _join(kind, processes)
    joined = TorchDistribution(parts.mandatory, kind, mesh, processes)
    if not joined.divides_layers:
        return replace(parts, distribution=joined)
    divided = TorchOps(torch.device(own), reshape)
    return replace(parts, mandatory=divided, overrides=DIVIDED, distribution=joined)


def _join(kind: str, processes: Processes) -> None:
    if distributed.is_initialized():
        return
    # torchrun's own process has the port, and the store behind it
    served = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    address = f"tcp://{processes.host}:{processes.port}"
    try:
        distributed.init_process_group(
            _ENGINES[kind],
            init_method="env://" if served else address,
            rank=processes.rank,
            world_size=processes.count,
            timeout=_PATIENCE,
        )
    except (distributed.DistError, RuntimeError, ValueError) as error:
        raise RunError(
            f"process {processes.rank} of {processes.count}: cannot join the others at {address}: "
            f"{str(error).splitlines()[0]}"
        ) from error


@final
class TorchDistribution(Distribution):
    """Tensors of which each process holds its part.

    Args:
        ops: the backend's operations.
        kind: of device.
        mesh, processes: as for `Distribution`.
    """

    def __init__(self, ops: MandatoryOps, kind: str, mesh: Mesh, processes: Processes) -> None:
        super().__init__(mesh, processes)
        names, extents = zip(*mesh.axes, strict=True)
        self._ops = ops
        self.divides_layers = mesh.extent(("model",)) > 1
        if self.divides_layers:
            # tensors that are no DTensor, such as ids, are equal along this axis
            mixed = contextlib.ExitStack()
            mixed.enter_context(implicit_replication())
            atexit.register(mixed.close)
        self._devices = init_device_mesh(kind, extents, mesh_dim_names=names)

    @property
    def looks_whole(self) -> bool:
        return False

    def place(self, value: Any, dtype: DType, spec: Spec) -> Array:
        part = np.asarray(value)
        for axis, names in enumerate(spec):
            count = self.mesh.extent(names)
            each = part.shape[axis] // count
            first = self.mesh.index(self.processes.rank, names) * each
            part = part[(slice(None),) * axis + (slice(first, first + each),)]
        return self._ops.asarray(part, dtype)

    def constrain(self, x: Array, spec: Spec, wanted: Spec) -> Array:
        x = self._with_joined(x, spec, wanted)
        if not self.divides_layers:
            return x
        divided = [axis for axis, names in enumerate(wanted) if "model" in names]
        placement = Shard(divided[0]) if divided else Replicate()
        return DTensor.from_local(x, self._devices["model"], [placement], run_check=False)

    def _with_joined(self, x: Array, spec: Spec, wanted: Spec) -> Array:
        for axis, names in enumerate(spec):
            kept = wanted[axis] if axis < len(wanted) else ()
            for name in reversed([name for name in names if name not in kept]):
                x = _Joined.apply(x, axis, self._devices.get_group(name))
        return x

    def total(self, xs: Sequence[Array], specs: Sequence[Spec]) -> list[Array]:
        added = [whole(x) for x in xs]
        shared = Counter(_memory(x) for x in added)
        left = [tuple(n for n in self.mesh.rows if n not in _axes(spec)) for spec in specs]
        for names, dtype in dict.fromkeys(zip(left, (x.dtype for x in xs), strict=True)):
            chosen = [i for i, x in enumerate(xs) if (left[i], x.dtype) == (names, dtype)]
            for bucket in _buckets(chosen, xs) if names else ():
                flat = torch.cat([added[i].detach().reshape(-1) for i in bucket])
                self._add_up(flat, names)
                for i, part in zip(
                    bucket, flat.split([xs[i].numel() for i in bucket]), strict=True
                ):
                    added[i] = _put(part.view(xs[i].shape), added[i].detach(), shared)
        return added

    def norm(self, xs: Sequence[Array], specs: Sequence[Spec]) -> Array:
        axes = [tuple(_axes(spec)) for spec in specs]
        wide = torch.promote_types(xs[0].dtype, torch.float32)
        squares = torch.zeros((), dtype=wide, device=xs[0].device)
        for names in dict.fromkeys(axes):
            same = [x.to(wide) for x, own in zip(xs, axes, strict=True) if own == names]
            squares += self._add_up(torch.nn.utils.get_total_norm(same).square(), names)
        return squares.sqrt()

    def gather(self, x: Array, spec: Spec) -> np.ndarray[Any, Any]:
        with torch.no_grad():
            return self._ops.to_numpy(self._with_joined(whole(x), spec, ()))

    def exchange(self, data: bytes) -> list[bytes]:
        found: list[Any] = [None] * self.processes.count
        distributed.all_gather_object(found, data)
        return found

    def is_loss(self, error: Exception) -> bool:
        if isinstance(error, distributed.DistError):
            return True
        text = str(error).lower()
        return isinstance(error, RuntimeError) and any(word in text for word in _LOST)

    def close(self, code: int = 0) -> None:
        if not code:
            distributed.barrier()
            distributed.destroy_process_group()

    def _add_up(self, x: Array, names: Iterable[str]) -> Array:
        for name in names:
            distributed.all_reduce(x, group=self._devices.get_group(name))
        return x


@final
class _Joined(torch.autograd.Function):
    """The parts of a group along an axis; its gradient is of the sum over the group, in parts."""

    @staticmethod
    def forward(ctx: Any, x: Array, axis: int, group: Any) -> Array:
        ctx.axis, ctx.group = axis, group
        parts = [torch.empty_like(x.contiguous()) for _ in range(distributed.get_world_size(group))]
        distributed.all_gather(parts, x.contiguous(), group=group)
        return torch.cat(parts, axis)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Array) -> tuple[Array, None, None]:
        # each sends every other its part, which adds up what came, in the order of ranks
        sent = torch.stack(g.chunk(distributed.get_world_size(ctx.group), ctx.axis))
        came = torch.empty_like(sent)
        distributed.all_to_all_single(came, sent, group=ctx.group)
        return came.sum(0), None, None


def _axes(spec: Spec) -> Iterator[str]:
    """The axes of the mesh that an array is divided over."""
    return (name for names in spec for name in names)


def _memory(x: Array) -> int:
    return int(x.untyped_storage().data_ptr())


def _put(x: Array, place: Array, shared: Counter[int]) -> Array:
    """In an array's place, so that not all sums lie beside what was added up.

    Not where another array shares its memory, which would be added up twice.
    """
    alone = place.is_contiguous() and shared[_memory(place)] == 1
    return place.copy_(x) if alone else x.clone()


def _buckets(chosen: Sequence[int], xs: Sequence[Array]) -> Iterator[list[int]]:
    """Numbers of tensors, in groups of some size."""
    bucket: list[int] = []
    size = 0
    for i in chosen:
        bucket.append(i)
        size += xs[i].numel()
        if size >= _BUCKET:
            yield bucket
            bucket, size = [], 0
    if bucket:
        yield bucket
