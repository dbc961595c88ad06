"""How what a trainer holds lies on a mesh: rules over the logical axes of parameters.

Rows of a batch are divided over ``data`` and ``fsdp``. With ``fsdp``, what is trained is divided by
its width, with its gradients and moments (arXiv:1910.02054, §5; arXiv:2304.11277); a computation
joins the parts of a weight for as long as it needs them. With ``model``, weights are divided by
heads, inner width and vocabulary, and computed with in parts (arXiv:1909.08053, §3).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import ConfigError, InputError
from lmkernel.parameters import flatten, nest
from lmkernel.training.step.checks import check_same_shapes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from lmkernel.backend import Backend
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.distribution import Mesh, Spec
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.interfaces import Param
    from lmkernel.training.data import Batch
    from lmkernel.training.step.optimizers import Optimizer

__all__ = ["Layout", "spec_of"]

_RULES: Mapping[str, str] = MappingProxyType(
    {"embed": "fsdp", "heads": "model", "kv": "model", "mlp": "model", "vocab": "model"}
)
"""Which axis of the mesh a logical axis is divided over."""
_WHOLE_IF_UNEVEN = ("vocab",)
"""A vocabulary has the size that it has; one that does not divide stays whole."""


def spec_of(mesh: Mesh, name: str, param: Param) -> Spec:
    """How a parameter lies on a mesh.

    Raises:
        ConfigError: an extent does not divide; names the parameter.
    """
    used: set[str] = set()
    spec: list[tuple[str, ...]] = []
    for logical, extent in zip(param.axes, param.shape, strict=True):
        axis = _RULES.get(logical, "")
        parts = mesh.extent((axis,))
        uneven = extent % parts != 0
        if parts == 1 or axis in used or (uneven and logical in _WHOLE_IF_UNEVEN):
            spec.append(())
            continue
        if uneven:
            raise ConfigError(
                f"mesh {mesh}: expected sizes that divide by {axis}={parts}, but {logical!r} of "
                f"{name} is {extent}"
            )
        used.add(axis)
        spec.append((axis,))
    return tuple(spec) if used else ()


def _without_parts(spec: Spec) -> Spec:
    """How an array lies once the parts of ``fsdp`` are joined."""
    return tuple(tuple(name for name in names if name != "fsdp") for names in spec)


@final
class Layout:
    """Arrays of a trainer on the mesh of its backend.

    Args:
        backend: whose engine it is.
        declared: all parameters by dotted name.
        dtype: of parameters.

    Raises:
        ConfigError: a parameter does not divide.
    """

    def __init__(self, backend: Backend, declared: Mapping[str, Param], dtype: DType) -> None:
        self.distribution, self._ops, self._dtype = backend.distribution, backend.ops, dtype
        self._mesh = mesh = self.distribution.mesh
        self._specs = {name: spec_of(mesh, name, param) for name, param in declared.items()}
        self._joined = {name: _without_parts(spec) for name, spec in self._specs.items()}
        self._rows: Spec = (mesh.rows,) if mesh.rows else ()
        self._sharded = any(self._specs.values())
        self._shapes: dict[str, tuple[int, ...]] = {}

    @property
    def part(self) -> int:
        """Which rows this process draws random numbers for; 0 where it draws for all."""
        own = self.distribution
        return 0 if own.looks_whole else self._mesh.index(own.processes.rank, self._mesh.rows)

    def require(self, optimizer: Optimizer) -> None:
        """Raise `ConfigError` where the optimizer would have to see whole what lies in parts."""
        if self._sharded and not (self.distribution.looks_whole or optimizer.elementwise):
            kind = type(optimizer).__name__
            raise ConfigError(
                f"optimizer.kind: expected one that takes each number by itself, such as adamw, "
                f"with the mesh {self._mesh} on this backend; got {kind}, which looks at matrices"
            )

    # to the device

    def params(self, values: Mapping[str, NDArray[Any]]) -> dict[str, Array]:
        """Parameters, in row-major order: the other one rounds products differently."""
        return {
            name: self._place(name, np.asarray(value, order="C"), self._dtype)
            for name, value in values.items()
        }

    def batch(self, batch: Batch, compute: DType) -> dict[str, Array]:
        """A batch: integers as int32, vectors in the dtype of the computation.

        Raises:
            InputError: its rows do not divide.
        """
        parts, rows = self._mesh.extent(self._mesh.rows), len(batch["inputs"])
        if rows % parts:
            raise InputError(
                f"batch: expected rows that divide by {parts} with the mesh {self._mesh}, "
                f"got {rows}"
            )
        kinds: Mapping[str, DType] = {"i": "int32"}
        return {
            name: self.distribution.place(x, kinds.get(x.dtype.kind, compute), self._rows)
            for name, x in batch.items()
        }

    def whole(self, value: Any, dtype: DType) -> Array:
        """What every process has, such as a key or a rate."""
        return self.distribution.place(value, dtype, ())

    def begin(
        self, optimizer: Optimizer, values: Mapping[str, NDArray[Any]], params: Mapping[str, Array]
    ) -> Tree:
        """The optimizer's state before the first step.

        Args:
            optimizer: whose.
            values: what is trained, on the host.
            params: the same as it lies on the device.
        """
        if not self._sharded:
            return optimizer.init(params)
        if optimizer.elementwise and not self.distribution.looks_whole:
            return self._begin_in_parts(optimizer, values, params)
        state: dict[str, dict[str, Array]] = {}
        for name in params:  # one at a time, as it is made whole
            own = optimizer.init({name: self.whole(values[name], self._dtype)})
            for slot, arrays in own.items():
                for key, array in arrays.items():
                    host = self.distribution.gather(array, ())
                    if host.shape == values[name].shape:
                        self._specs[f"{slot}.{key}"] = self._specs[name]
                    self._shapes[f"{slot}.{key}"] = host.shape
                    placed = self._place(f"{slot}.{key}", host, self._ops.dtype(array))
                    state.setdefault(slot, {})[key] = placed
        return state

    def _begin_in_parts(
        self, optimizer: Optimizer, values: Mapping[str, NDArray[Any]], params: Mapping[str, Array]
    ) -> Tree:
        """The state of this process's own parts, of which no whole array need be made."""
        state = optimizer.init(params)
        for place, array in flatten(state).items():
            name = place.partition(".")[2]
            if array.shape == params[name].shape:
                self._specs[place] = self._specs[name]
                self._shapes[place] = values[name].shape
        return state

    def restored(self, fresh: Tree, saved: Mapping[str, NDArray[Any]]) -> Tree:
        """Saved arrays of the optimizer's state, flat, in the places of a fresh one.

        Raises:
            InputError: they are of another model, or another kind of optimizer.
        """
        flat = flatten(fresh)
        empty = np.zeros((), np.bool_)
        shapes = {n: np.broadcast_to(empty, self._shapes.get(n, x.shape)) for n, x in flat.items()}
        check_same_shapes("the optimizer's state", shapes, saved)
        dtype = self._ops.dtype
        placed = {name: self._place(name, saved[name], dtype(x)) for name, x in flat.items()}
        return nest(fresh, placed)

    def _place(self, name: str, value: NDArray[Any], dtype: DType) -> Array:
        return self.distribution.place(value, dtype, self._specs.get(name, ()))

    # within a computation

    def used(self, params: Mapping[str, Array]) -> dict[str, Array]:
        """Parameters as the model computes with them: joined but for what ``model`` divides."""
        join = self.distribution.constrain
        return {name: join(x, self._specs[name], self._joined[name]) for name, x in params.items()}

    def total(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """``"total"`` and ``"count"``, and ``"gradients"`` if any, over the rows of all."""
        gradients = dict(sums.get("gradients", {}))
        names = list(gradients)
        specs = [(), (), *(self._specs[name] for name in names)]
        arrays = [sums["total"], sums["count"], *gradients.values()]
        total, count, *added = self.distribution.total(arrays, specs)
        added_up = {"gradients": dict(zip(names, added, strict=True))} if names else {}
        return {**sums, "total": total, "count": count, **added_up}

    def norm(self, arrays: Mapping[str, Array]) -> Array:
        """The global norm, whatever the order of the names."""
        names = sorted(arrays)
        specs = [self._specs[name] for name in names]
        return self.distribution.norm([arrays[name] for name in names], specs)

    # back to the host

    def gather(self, arrays: Mapping[str, Array]) -> dict[str, NDArray[Any]]:
        """Whole arrays by name, of parameters or of the optimizer's state."""
        return dict(self.gathered(arrays))

    def gathered(self, arrays: Mapping[str, Array]) -> Iterator[tuple[str, NDArray[Any]]]:
        """The same, one after the other."""
        for name, x in arrays.items():
            yield name, self.distribution.gather(x, self._specs.get(name, ()))

    def gather_rows(self, x: Array) -> NDArray[Any]:
        """What each process computed of its rows, for all of them."""
        return self.distribution.gather(x, self._rows)
