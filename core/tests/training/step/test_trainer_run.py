"""A run of the composed trainer: resuming, draws, batches, callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from trainer_probes import ADAMW, Hook, Spy, first, losses, same_bits, stepped
from training_samples import (
    DROPPING,
    constant,
    letters_batch,
    letters_batches,
    made_trainer,
    small_gpt2,
)

from lmkernel.training.config import OptimizerConfig

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize("optimizer", [ADAMW, OptimizerConfig(kind="muon", momentum=0.9)])
def test_four_and_four_steps_are_the_bits_of_eight(optimizer: OptimizerConfig) -> None:
    data = letters_batches()
    changes: dict[str, Any] = {"optimizer": optimizer, "schedule": constant(0.01), "clip": 1.0}
    whole, begun, resumed = (made_trainer(small_gpt2(**DROPPING), **changes) for _ in range(3))
    end = whole.fit(whole.start(first(whole)), data, accumulate=2)
    half = begun.fit(begun.start(first(begun)), data, until=4, accumulate=2)
    state = resumed.restore(
        first(resumed), begun.trained(half), begun.optimizer_values(half), half.step
    )
    rest = resumed.fit(state, data, accumulate=2)
    assert rest.step == end.step == 8
    same_bits(resumed.trained(rest), whole.trained(end))
    same_bits(resumed.optimizer_values(rest), whole.optimizer_values(end))


def test_what_is_handed_to_restore_is_not_written_to() -> None:
    trainer = made_trainer(optimizer=ADAMW)
    state, _ = trainer.step(trainer.start(first(trainer)), [letters_batch(2)])
    trained, optimizer = trainer.trained(state), trainer.optimizer_values(state)
    before = {name: x.copy() for name, x in (trained | optimizer).items()}
    trainer.step(trainer.restore(first(trainer), trained, optimizer, 1), [letters_batch(2)])
    same_bits(trained | optimizer, before)


def test_dropout_draws_differ_by_step_and_are_the_same_when_repeated() -> None:
    data = Spy(letters_batch(2))
    still: dict[str, Any] = {"schedule": constant(1e-30)}
    curve = losses(made_trainer(small_gpt2(**DROPPING), **still), data, 4)
    assert len(set(curve)) == 4
    assert losses(made_trainer(small_gpt2(**DROPPING), **still), data, 4) == curve
    assert losses(made_trainer(small_gpt2(**DROPPING), seed=4, **still), data, 4)[0] != curve[0]


def test_micro_batches_of_a_step_have_draws_of_their_own() -> None:
    batch = letters_batch(2)
    trainer = made_trainer(small_gpt2(**DROPPING), schedule=constant(1e-30))
    _, once = stepped(trainer, batch)
    _, twice = stepped(trainer, batch, batch)
    assert twice.loss != once.loss


def test_each_step_takes_the_next_batches_over_all_epochs() -> None:
    data = Spy(letters_batch(2), epoch=2)
    trainer = made_trainer()
    state = trainer.fit(trainer.start(first(trainer)), data, until=2, accumulate=3)
    assert data.asked == [0, 1, 2, 3, 4, 5]
    trainer.fit(state, data, until=3, accumulate=3)
    assert data.asked[6:] == [6, 7, 8]


@pytest.mark.parametrize("until", [0, 2])
def test_no_step_is_taken_beyond_the_last(until: int) -> None:
    trainer = made_trainer(steps=3)
    data = letters_batches()
    state = trainer.fit(trainer.start(first(trainer)), data, until=until)
    assert state.step == until
    assert trainer.fit(trainer.fit(state, data), data).step == 3


def test_callbacks_hear_of_each_step_in_their_order_and_may_stop() -> None:
    notes: list[Any] = []
    hooks = [Hook(notes, "a", stop=2), Hook(notes, "b"), Hook(notes, "c", stop=2)]
    trainer = made_trainer()
    state = trainer.fit(trainer.start(first(trainer)), letters_batches(), callbacks=hooks)
    assert state.step == 2
    assert [note[:2] for note in notes] == [(n, s) for s in (1, 2) for n in "abc"]


def test_the_order_of_files_moves_no_bit() -> None:
    """Another order of names, and of the numbers of a matrix in memory, is the same state."""
    trainer, data = made_trainer(optimizer=ADAMW, clip=1.0), letters_batches()

    def turned(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {n: np.asfortranarray(x) for n, x in reversed(list(values.items()))}

    begun = trainer.fit(trainer.start(turned(first(trainer))), data, until=2)
    saved = turned(trainer.trained(begun)), turned(trainer.optimizer_values(begun))
    got = trainer.fit(trainer.restore(first(trainer), *saved, 2), data)
    expected = trainer.fit(trainer.start(first(trainer)), data)
    same_bits(trainer.trained(got), trainer.trained(expected))
    assert list(trainer.trained(got)) == list(trainer.trained(expected))
    assert list(trainer.optimizer_values(got)) == list(trainer.optimizer_values(expected))
