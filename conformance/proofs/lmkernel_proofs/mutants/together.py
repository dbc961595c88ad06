"""Broken distribution: what processes do together goes wrong while each is right by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.training.data import Batch, Batches
from lmkernel.training.step.layout import Layout
from lmkernel.training.step.trainer import ComposedTrainer
from lmkernel_proofs.mutants.mutant import Mutant, Patch
from lmkernel_proofs.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MUTANTS"]

_total, _place, _evaluate = Threads.total, Threads.place, ComposedTrainer.evaluate
_exchange = Threads.exchange


def average_again(self: Any, xs: Any, specs: Any) -> Any:
    """Gradients are divided by the number of processes, though the sum is divided by the count."""
    total, count, *gradients = _total(self, xs, specs)
    return [total, count, *(g / self.processes.count for g in gradients)]


def own_counts(self: Any, xs: Any, specs: Any) -> Any:
    """Everything is summed but the counts, of which each process has its own."""
    total, _, *gradients = _total(self, xs, specs)
    return [total, xs[1], *gradients]


def own_gradients(self: Any, xs: Any, specs: Any) -> Any:
    """The loss is summed, and each process goes on with its own gradients."""
    return [*_total(self, xs[:2], specs[:2]), *xs[2:]]


def first_rows(self: Any, value: Any, dtype: Any, spec: Any) -> Any:
    """Every process reads the rows of the first."""
    value = np.asarray(value)
    if "data" in self.mesh.rows and spec and spec[0]:
        first = value[: len(value) // self.processes.count]
        value = np.concatenate([first] * self.processes.count)
    return _place(self, value, dtype, spec)


def misplaced(self: Any, value: Any, dtype: Any, spec: Any) -> Any:
    """Each process has the part of its neighbour."""
    value = np.asarray(value)
    for axis, names in enumerate(spec):
        if names == ("fsdp",):
            value = np.roll(value, value.shape[axis] // self.processes.count, axis)
    return _place(self, value, dtype, spec)


def local_norm(self: Any, xs: Any, specs: Any) -> Any:
    """The norm of what this process holds."""
    del specs
    return self._ops.global_norm(xs)


def same_masks(self: Any) -> int:
    """Every process draws the masks of the first."""
    del self
    return 0


def without_last(self: Any, state: Any, data: Any) -> Any:
    """Several processes evaluate whole batches alone, and the last is not whole."""
    several = self._layout.distribution.processes.count > 1
    return _evaluate(self, state, _Shorter(data) if several and len(data) > 1 else data)


@final
class _Shorter(Batches):
    """Batches without the last."""

    def __init__(self, data: Batches) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data) - 1

    def at(self, index: int) -> Batch:
        """The batch of a number."""
        return self._data.at(index)

    @property
    def digest(self) -> str:
        """That of all."""
        return self._data.digest


def in_turn(self: Any, data: bytes) -> Any:
    """Each process hears itself first, then those after it."""
    said, rank = _exchange(self, data), self.processes.rank
    return said[rank:] + said[:rank]


def _of(name: str, owner: type, attribute: str, broken: Callable[..., Any] | property) -> Mutant:
    return Mutant(
        id=f"together.{name}",
        level="distribution",
        patch=Patch(f"{owner.__module__}.{owner.__qualname__}.{attribute}", broken),
    )


MUTANTS = (
    _of("gradients_averaged_twice", Threads, "total", average_again),
    _of("counts_not_summed", Threads, "total", own_counts),
    _of("gradients_not_summed", Threads, "total", own_gradients),
    _of("rows_repeated", Threads, "place", first_rows),
    _of("part_misplaced", Threads, "place", misplaced),
    _of("local_norm", Threads, "norm", local_norm),
    _of("same_masks", Layout, "part", property(same_masks)),
    _of("last_batch_lost", ComposedTrainer, "evaluate", without_last),
    _of("heard_in_turn", Threads, "exchange", in_turn),
)
