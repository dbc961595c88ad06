"""Broken trainers: accumulation of gradients, resuming, and dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel.contract.trees import tree_map
from lmkernel.training.step.gradients import Gradients
from lmkernel.training.step.trainer import ComposedTrainer
from lmkernel_proofs.mutants.mutant import Mutant, Patch

__all__ = ["MUTANTS"]

_first, _restore, _total = Gradients.first, ComposedTrainer.restore, Gradients._total  # noqa: SLF001 - a defect is put inside


def average_means(self: Any, trainable: Any, frozen: Any, batch: Any, key: Any) -> Any:
    """Means of micro-batches are averaged, whatever their counts."""
    sums = _first(self, trainable, frozen, batch, key)
    count = sums["count"]
    one = count / count
    return {
        "total": sums["total"] / count,
        "count": one,
        "gradients": tree_map(lambda g: g / count, sums["gradients"]),
    }


def last_counts(self: Any, sums: Any, trainable: Any, frozen: Any, batch: Any, key: Any) -> Any:
    """Gradients add up, but only the last micro-batch is counted."""
    more = _first(self, trainable, frozen, batch, key)
    both = tree_map(lambda x, y: x + y, sums["gradients"], more["gradients"])
    return {**more, "gradients": both}


def forget_moments(self: Any, values: Any, trained: Any, optimizer: Any, step: int) -> Any:
    """The optimizer's moments are zero after a resume."""
    blank = {name: np.zeros_like(x) for name, x in optimizer.items()}
    return _restore(self, values, trained, blank, step)


def recount_steps(self: Any, values: Any, trained: Any, optimizer: Any, step: int) -> Any:
    """Steps are counted from 0 again after a resume."""
    del step
    return _restore(self, values, trained, optimizer, 0)


def one_key(self: Any, number: int) -> Any:
    """Every step drops the same elements."""
    del number
    return self._ops.asarray([1, 2], "int32")


def always_drops(self: Any, trainable: Any, frozen: Any, batch: Any) -> Any:
    """Dropout is on in evaluation."""
    key = self._model.backend.ops.asarray([1, 2], "int32")
    given = {name: x for name, x in batch.items() if name != "targets"}
    return self._model.forward(self._join(trainable, frozen), key=key, **given)


def never_drops(self: Any, params: Any, batch: Any, key: Any) -> Any:
    """Dropout is off in training."""
    del key
    return _total(self, params, batch, None)


def _of(name: str, where: str, broken: Any, row: int = 0, seen: str = "") -> Mutant:
    return Mutant(
        id=f"trainer.{name}",
        level="training",
        row=row,
        seen=seen,
        patch=Patch(f"lmkernel.training.step.{where}", broken),
    )


MUTANTS = (
    _of("means_averaged", "gradients.Gradients.first", average_means, 21, "transformers#34191"),
    _of("last_counts", "gradients.Gradients.add", last_counts, 21),
    _of("moments_lost", "trainer.ComposedTrainer.restore", forget_moments, 24, "KempnerForge#114"),
    _of("steps_lost", "trainer.ComposedTrainer.restore", recount_steps, 24),
    _of("one_key", "trainer.ComposedTrainer._key", one_key),
    _of("drops_in_evaluation", "gradients.Gradients.outputs", always_drops),
    _of("drops_nothing", "gradients.Gradients._total", never_drops),
)
