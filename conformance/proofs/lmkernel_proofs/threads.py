"""The tier of distribution on NumPy, with a thread for each process: for mutants of it.

Constraints: nothing is started and nothing is sent, so a mutant costs what its steps cost. A thread
sees its own part of an array as an ordinary one, as PyTorch's processes do. A mesh has one axis.
"""

from __future__ import annotations

import contextvars
import functools
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
from autograd.extend import defvjp, primitive

from lmkernel.contract.distribution import Distribution, Mesh, Processes, Spec
from lmkernel_conformance.cases.programs import PROGRAMS
from lmkernel_conformance.together.processes import COUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lmkernel.backend import Backend
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array

__all__ = ["Threads", "in_threads"]

_PATIENCE = 60.0
"""Seconds that a thread waits for the others, which a broken one may never join."""


@final
class Meeting:
    """Where all threads meet: each hands something in, and gets what all did."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(COUNT, timeout=_PATIENCE)
        self._said: list[Any] = [None] * COUNT

    def exchange(self, rank: int, said: Any) -> list[Any]:
        """What each thread hands in, by rank."""
        self._said[rank] = said
        self._barrier.wait()
        every = list(self._said)
        self._barrier.wait()  # nobody says the next thing before all have heard this one
        return every

    def leave(self) -> None:
        """Let nobody wait for this thread any more."""
        self._barrier.abort()


class Threads(Distribution):
    """Arrays of which each thread holds its part; mutants change its methods.

    Args:
        backend: of one process.
        mesh, processes: as for `Distribution`.
        meeting: of all threads.
    """

    def __init__(
        self, backend: Backend, mesh: Mesh, processes: Processes, meeting: Meeting
    ) -> None:
        super().__init__(mesh, processes)
        self._ops, self._meeting = backend.ops, meeting

    @property
    def looks_whole(self) -> bool:
        """A thread sees its own part."""
        return False

    def place(self, value: Any, dtype: DType, spec: Spec) -> Array:
        """This thread's part of a whole host array."""
        return self._ops.asarray(self._part(np.asarray(value), spec), dtype)

    def constrain(self, x: Array, spec: Spec, wanted: Spec) -> Array:
        """The parts of all threads joined, where ``wanted`` is whole."""
        if tuple(_axes(spec)) == tuple(_axes(wanted)):
            return x
        return _joined(x, self, spec)

    def total(self, xs: Sequence[Array], specs: Sequence[Spec]) -> list[Array]:
        """Sums over all threads of what does not lie in parts."""
        return [x if any(_axes(spec)) else self._sum(x) for x, spec in zip(xs, specs, strict=True)]

    def norm(self, xs: Sequence[Array], specs: Sequence[Spec]) -> Array:
        """The norm of whole arrays."""
        squares = [
            np.square(x).sum() if not any(_axes(spec)) else self._sum(np.square(x).sum())
            for x, spec in zip(xs, specs, strict=True)
        ]
        return np.sqrt(np.sum(np.stack(squares)))

    def gather(self, x: Array, spec: Spec) -> np.ndarray[Any, Any]:
        """The whole array, in every thread."""
        return np.array(self.join(x, spec))

    def exchange(self, data: bytes) -> list[bytes]:
        """What each thread hands in, by rank."""
        return self._meeting.exchange(self.processes.rank, data)

    def is_loss(self, error: Exception) -> bool:
        """Whether another thread has left."""
        return isinstance(error, threading.BrokenBarrierError)

    def close(self, code: int = 0) -> None:
        """Leave the others."""
        if code:
            self._meeting.leave()

    def join(self, x: Array, spec: Spec) -> Array:
        """The parts of all threads, in order."""
        axes = [axis for axis, names in enumerate(spec) if names]
        if not axes:
            return x
        return np.concatenate(self._said_by_all(x), axes[0])

    def divide(self, g: Array, spec: Spec) -> Array:
        """Of the sum over all threads, the part of this one."""
        return self._part(self._sum(g), spec)

    def _sum(self, x: Array) -> Array:
        return np.sum(np.stack(self._said_by_all(x)), 0)

    def _said_by_all(self, x: Array) -> list[Array]:
        """A copy is handed in, for the others may read it while this one goes on and writes."""
        return self._meeting.exchange(self.processes.rank, np.array(x))

    def _part(self, value: Array, spec: Spec) -> Array:
        for axis, names in enumerate(spec):
            parts = np.split(value, self.mesh.extent(names), axis)
            value = parts[self.mesh.index(self.processes.rank, names)]
        return value


def _axes(spec: Spec) -> Iterable[str]:
    return (name for names in spec for name in names)


_joined = primitive(lambda x, tier, spec: tier.join(x, spec))
defvjp(_joined, lambda _, __, tier, spec: lambda g: tier.divide(g, spec), argnums=(0,))


def in_threads(backend: Backend, program: str, dtype: str) -> list[dict[str, Any]]:
    """What each thread finds in a program, by rank.

    Args:
        backend: NumPy's, or a mutant of it.
        program: one of `lmkernel_conformance.cases.programs.PROGRAMS`.
        dtype: the floating dtype.
    """
    meeting = Meeting()
    found: list[dict[str, Any]] = [{} for _ in range(COUNT)]
    errors: list[BaseException] = []

    def take_part(rank: int) -> None:
        def load(mesh: str) -> Backend:
            processes = Processes(count=COUNT, rank=rank)
            return replace(backend, engine=Threads(backend, Mesh.parse(mesh), processes, meeting))

        try:
            found[rank] = PROGRAMS[program](load, dtype)
        except BaseException as error:  # noqa: BLE001 - it is raised again below
            errors.append(error)
            meeting.leave()

    _run([functools.partial(take_part, rank) for rank in range(COUNT)])
    own = [error for error in errors if not isinstance(error, threading.BrokenBarrierError)]
    if errors:
        raise (own or errors)[0]
    return found


def _run(work: Sequence[Callable[[], None]]) -> None:
    """Run each in a thread, where NumPy's warnings are as they are here."""
    threads = [
        threading.Thread(target=contextvars.copy_context().run, args=(each,), daemon=True)
        for each in work
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
