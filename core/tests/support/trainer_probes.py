"""Weights, batches and callbacks that show what a trainer does, and what compares its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.interfaces import Callback
from lmkernel.training.config import OptimizerConfig
from lmkernel.training.data import Batches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.interfaces import StepResult, Trainer, TrainingState
    from lmkernel.training.data import Batch
    from lmkernel.training.step.trainer import ComposedTrainer

ADAMW = OptimizerConfig(kind="adamw", weight_decay=0.1)


def first(trainer: ComposedTrainer, seed: int = 2) -> Mapping[str, np.ndarray]:
    """Weights to start from, in double precision."""
    return {name: x.astype(np.float64) * 3 for name, x in trainer.model.initial(seed).items()}


def stepped(
    trainer: ComposedTrainer, *batches: Batch
) -> tuple[Mapping[str, np.ndarray], StepResult]:
    """The weights after one step, and what it told."""
    state, result = trainer.step(trainer.start(first(trainer)), batches)
    return trainer.weights(state), result


def close(got: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """The same names, and numbers that differ by no more than rounding."""
    assert got.keys() == expected.keys()
    for name, x in expected.items():
        np.testing.assert_allclose(got[name], x, rtol=1e-12, atol=1e-14, err_msg=name)


def same_bits(got: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """The same names and the same numbers."""
    assert got.keys() == expected.keys()
    for name, x in expected.items():
        np.testing.assert_array_equal(got[name], x, err_msg=name)


@final
class Spy(Batches):
    """The same batch each time; notes which numbers were asked for."""

    def __init__(self, batch: Batch, epoch: int = 1) -> None:
        self.batch, self.epoch = batch, epoch
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.epoch

    def at(self, index: int) -> Batch:
        self.asked.append(index)
        return self.batch

    @property
    def digest(self) -> str:
        return "0"


@final
class Hook(Callback):
    """Notes what it is told, and asks to stop at a step."""

    def __init__(self, notes: list[Any], name: str = "", stop: int = 99) -> None:
        self.notes, self.name, self.stop = notes, name, stop

    def after_step(self, trainer: Trainer, state: TrainingState, result: StepResult) -> bool:
        del trainer
        self.notes.append((self.name, state.step, result))
        return state.step == self.stop


def losses(trainer: ComposedTrainer, data: Batches, until: int) -> list[float]:
    """The loss of each step from the first."""
    notes: list[Any] = []
    trainer.fit(trainer.start(first(trainer)), data, until=until, callbacks=[Hook(notes)])
    return [result.loss for _, _, result in notes]
