"""What the composed trainer refuses: states, batches and settings that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
from trainer_probes import ADAMW, Spy, first
from training_samples import constant, letters_batch, letters_batches, made_trainer

from lmkernel.config import PrecisionPolicy
from lmkernel.errors import ConfigError, InputError, NotFiniteError, UnknownNameError
from lmkernel.training.config import OptimizerConfig


def test_a_state_of_another_optimizer_is_refused() -> None:
    adam, sgd = made_trainer(optimizer=ADAMW), made_trainer()
    state = adam.start(first(adam))
    weights, saved = adam.trained(state), adam.optimizer_values(state)
    with pytest.raises(InputError, match=r"the optimizer's state: .* has 'm\.decoder"):
        sgd.restore(weights, weights, saved, 1)
    with pytest.raises(InputError, match=r"the optimizer's state: .* lacks 'm\.decoder"):
        adam.restore(weights, weights, {}, 1)


def test_a_state_of_another_size_is_refused() -> None:
    trainer = made_trainer(optimizer=ADAMW)
    state = trainer.start(first(trainer))
    weights, saved = trainer.trained(state), trainer.optimizer_values(state)
    name = "v.decoder.norm.weight"
    with pytest.raises(InputError, match=rf"{name}: expected the shape \(24,\), got \(5,\)"):
        trainer.restore(weights, weights, {**saved, name: np.zeros(5)}, 1)
    with pytest.raises(InputError, match=r"what is trained: .* lacks 'decoder"):
        trainer.restore(weights, {}, saved, 1)


@pytest.mark.parametrize(("accumulate", "where"), [(1, "batch 1:"), (2, "batch 2 … 3:")])
def test_a_loss_that_is_no_number_names_step_and_batches(accumulate: int, where: str) -> None:
    trainer = made_trainer(schedule=constant(1e30))
    with pytest.raises(NotFiniteError, match=rf"^step 2, {where} .* a loss of nan"):
        trainer.fit(trainer.start(first(trainer)), letters_batches(), accumulate=accumulate)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"inputs": np.full((2, 6), 61, np.int32)}, r"inputs: expected numbers in 0 … 60, got 61"),
        ({"inputs": np.full((2, 6), -1, np.int32)}, r"inputs: expected .*, got -1 … -1"),
        ({"targets": np.full((2, 6), 61, np.int32)}, r"targets: expected numbers in 0 … 60"),
        ({"inputs": np.zeros((2, 9), np.int32)}, r"context of 8, got one of 9"),
        ({"positions": np.full((2, 6), 8, np.int32)}, r"context of 8, got one of 9"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_by_its_number(
    change: dict[str, np.ndarray], complaint: str
) -> None:
    trainer = made_trainer()
    good = letters_batch(2)
    state = trainer.start(first(trainer))
    with pytest.raises(InputError, match=rf"^batch 1: .*{complaint}"):
        trainer.step(state, [good, {**good, **change}])
    with pytest.raises(InputError, match=rf"^evaluation batch 0: .*{complaint}"):
        trainer.evaluate(state, Spy({**good, **change}))


def test_a_batch_without_targets_is_refused() -> None:
    trainer = made_trainer()
    with pytest.raises(InputError, match=r"inputs and targets, got \['inputs'\]"):
        trainer.step(trainer.start(first(trainer)), [{"inputs": np.zeros((1, 2), np.int32)}])


@pytest.mark.parametrize(
    "policy",
    [
        PrecisionPolicy(params="bfloat16", compute="bfloat16"),
        PrecisionPolicy(compute="float16"),
    ],
)
def test_narrow_parameters_are_refused(policy: PrecisionPolicy) -> None:
    with pytest.raises(ConfigError, match=r"TrainerConfig\.policy"):
        made_trainer(policy=policy)


def test_an_unknown_optimizer_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'adamw'"):
        made_trainer(optimizer=OptimizerConfig(kind="adanw"))
