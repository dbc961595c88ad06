"""The tier of distribution: arrays that lie in parts on a mesh of processes.

Constraints: optional; a backend without it refuses more than one process, by name. The engine is
the framework's own. A whole host array that is handed in is equal in every process, and every
process calls the same methods in the same order.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array

__all__ = ["MESH_AXES", "Distribution", "Mesh", "Processes", "Spec"]

MESH_AXES = ("data", "fsdp", "model")
"""What an axis of a mesh divides: rows of a batch; rows, and what is trained with its gradients and
moments; weights by heads, inner width and vocabulary."""
Spec = tuple[tuple[str, ...], ...]
"""For each leading axis of an array, the axes of the mesh that it is divided over; () is whole."""
_PART = re.compile(r"([a-z]+)=([1-9][0-9]{0,8})")


@final
@dataclass(frozen=True)
class Mesh:
    """Processes, or devices, in an array with named axes; the last axis varies fastest.

    Args:
        axes: names and extents, in order.
    """

    axes: tuple[tuple[str, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Mesh:
        """The mesh of a text such as ``"data=2,model=2"``.

        Raises:
            ConfigError: malformed, an unknown axis, or one named twice.
        """
        found = [_PART.fullmatch(part.strip()) for part in text.split(",")] if text else []
        names = [one[1] for one in found if one]
        if None in found or set(names) - set(MESH_AXES) or len(set(names)) < len(names):
            raise ConfigError(
                f"mesh: expected axes among {', '.join(MESH_AXES)}, each once, such as "
                f"'data=2,fsdp=4'; got {text!r}"
            )
        return cls(tuple((one[1], int(one[2])) for one in found if one))

    def __str__(self) -> str:
        return ",".join(f"{name}={extent}" for name, extent in self.axes)

    def over(self, count: int, what: str) -> Mesh:
        """This mesh, if it has as many places as there are; where it names no axis, one of rows.

        Args:
            count: how many there are.
            what: of what, for the message: ``"processes"``.

        Raises:
            ConfigError: there are more or fewer.
        """
        if not self.axes:
            return Mesh((("data", count),))
        if self.size != count:
            raise ConfigError(
                f"mesh: expected as many places as there are {what}, {count}; got {self}, which "
                f"has {self.size}; --processes starts more on this machine"
            )
        return self

    @property
    def size(self) -> int:
        """How many parts there are in all."""
        return self.extent(name for name, _ in self.axes)

    @property
    def rows(self) -> tuple[str, ...]:
        """The axes that rows of a batch are divided over."""
        return tuple(name for name, _ in self.axes if name != "model")

    def extent(self, names: Iterable[str]) -> int:
        """Into how many parts some axes divide; one that is not there does not."""
        extents = dict(self.axes)
        return math.prod(extents.get(name, 1) for name in names)

    def index(self, rank: int, names: Iterable[str]) -> int:
        """Which of those parts is that of a number in the mesh."""
        stride, places = 1, {}
        for name, extent in reversed(self.axes):
            places[name] = rank // stride % extent
            stride *= extent
        part = 0
        for name in names:
            part = part * self.extent((name,)) + places.get(name, 0)
        return part


@final
@dataclass(frozen=True, kw_only=True)
class Processes:
    """The processes of a run, and which of them this is.

    Args:
        count: how many.
        rank: the number of this one, from 0.
        local: its number among those of its machine.
        host, port: where process 0 can be reached.
        found: what said so, for messages.
        timeout: seconds that one waits for the others to come.
    """

    count: int = 1
    rank: int = 0
    local: int = 0
    host: str = "127.0.0.1"
    port: int = 29500
    found: str = ""
    timeout: float = 300.0


class Distribution(ABC):
    """An engine that holds arrays in parts on one mesh; processes join once for all meshes.

    Args:
        mesh: how processes, or devices, are arranged.
        processes: which one this is.
    """

    def __init__(self, mesh: Mesh, processes: Processes) -> None:
        self.mesh, self.processes = mesh, processes

    @property
    @abstractmethod
    def looks_whole(self) -> bool:
        """Whether a computation sees whole arrays; else each process sees its own part."""

    @abstractmethod
    def place(self, value: Any, dtype: DType, spec: Spec) -> Array:
        """A whole host array, of which each process keeps its parts."""

    @abstractmethod
    def constrain(self, x: Array, spec: Spec, wanted: Spec) -> Array:
        """``x``, which lies as ``spec`` says, as ``wanted`` says, within a computation.

        Gradients flow back into ``spec``, added up over what ``wanted`` joins.
        """

    @abstractmethod
    def total(self, xs: Sequence[Array], specs: Sequence[Spec]) -> list[Array]:
        """Sums over all rows of a batch, of what was computed from parts of it.

        Each comes back as its spec says. What `constrain` has added up already is not added again.
        """

    @abstractmethod
    def norm(self, xs: Sequence[Array], specs: Sequence[Spec]) -> Array:
        """The Euclidean norm of all numbers of whole arrays together, 0-d, the same everywhere."""

    @abstractmethod
    def gather(self, x: Array, spec: Spec) -> np.ndarray[Any, Any]:
        """The whole array on the host of every process; 16-bit floats come as float32."""

    @abstractmethod
    def exchange(self, data: bytes) -> list[bytes]:
        """What each process hands in, by rank, in every process."""

    @abstractmethod
    def is_loss(self, error: Exception) -> bool:
        """Whether an error of the framework says that another process cannot be reached."""

    @abstractmethod
    def close(self, code: int = 0) -> None:
        """Leave the others; without waiting for them where the process ends in a code but 0."""
