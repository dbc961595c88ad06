"""One step of the composed trainer: accumulation, clipping, rates, losses, less memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from trainer_probes import ADAMW, Hook, Spy, close, first, losses, stepped
from training_samples import (
    DOUBLE,
    DROPPING,
    constant,
    letters_batch,
    letters_batches,
    made_trainer,
    small_gpt2,
)

from lmkernel.config import ModelConfig, RecurrentConfig, TransformerConfig
from lmkernel.errors import ConfigError
from lmkernel.interfaces import LossConfig
from lmkernel.training.config import OptimizerConfig, ScheduleConfig

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_unequal_micro_batches_step_as_one_batch_of_them_all(clip: float) -> None:
    trainer = made_trainer(policy=DOUBLE, clip=clip)
    few, many = letters_batch(1, seed=1, learned=2), letters_batch(3, seed=2)
    whole = {name: np.concatenate([few[name], many[name]]) for name in few}
    got, told = stepped(trainer, few, many)
    expected, told_whole = stepped(trainer, whole)
    close(got, expected)
    assert told.count == told_whole.count == 2 + 18
    assert told.loss == pytest.approx(told_whole.loss, rel=1e-13)
    assert told.norm == pytest.approx(told_whole.norm, rel=1e-12)


def test_three_micro_batches_add_up() -> None:
    trainer = made_trainer(policy=DOUBLE)
    parts = [letters_batch(n, seed=n, learned=n + 1) for n in (1, 2, 3)]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    close(stepped(trainer, *parts)[0], stepped(trainer, whole)[0])


def test_the_move_is_the_rate_times_the_gradient_of_the_mean() -> None:
    """Against central differences of the evaluated loss, in one weight of each parameter."""
    trainer = made_trainer(policy=DOUBLE)
    batch, weights = letters_batch(2), dict(first(made_trainer()))
    moved, _ = stepped(trainer, batch)
    data = Spy(batch)
    for name in ("embedding.tokens.weight", "decoder.layers.1.mlp.up.bias", "decoder.norm.weight"):
        at = np.unravel_index(np.argmax(np.abs(moved[name] - weights[name])), weights[name].shape)
        sides = []
        for h in (1e-6, -1e-6):
            shifted = weights[name].copy()
            shifted[at] += h
            state = trainer.start({**weights, name: shifted})
            sides.append(trainer.evaluate(state, data)["loss"])
        gradient = (sides[0] - sides[1]) / 2e-6
        assert moved[name][at] - weights[name][at] == pytest.approx(-0.1 * gradient, rel=1e-6)


def test_a_clipped_step_is_as_long_as_the_limit() -> None:
    free, told = stepped(made_trainer(policy=DOUBLE, schedule=constant(1.0)), letters_batch(2))
    bound, clipped = stepped(
        made_trainer(policy=DOUBLE, schedule=constant(1.0), clip=0.25), letters_batch(2)
    )
    start = first(made_trainer())

    def length(weights: Mapping[str, np.ndarray]) -> float:
        return float(np.sqrt(sum(((weights[n] - x) ** 2).sum() for n, x in start.items())))

    assert told.norm > 0.25
    assert length(free) == pytest.approx(told.norm, rel=1e-9)
    assert length(bound) == pytest.approx(0.25, rel=1e-9)
    assert clipped.norm == told.norm  # as it was before


def test_a_step_tells_the_rate_of_the_schedule() -> None:
    schedule = ScheduleConfig(kind="linear", rate=0.4, warmup=2)
    notes: list[Any] = []
    trainer = made_trainer(schedule=schedule, steps=4)
    trainer.fit(trainer.start(first(trainer)), letters_batches(), callbacks=[Hook(notes)])
    assert [result.rate for _, _, result in notes] == pytest.approx([0.2, 0.4, 0.2, 0.0])


def test_smoothing_changes_the_loss_of_training() -> None:
    plain, smooth = (
        stepped(
            made_trainer(policy=DOUBLE, loss=LossConfig(kind="cross_entropy", smoothing=s)),
            letters_batch(2),
        )[1].loss
        for s in (0.0, 0.2)
    )
    logits = made_trainer(policy=DOUBLE)
    state = logits.start(first(logits))
    batch = letters_batch(2)
    outputs = logits.predict(state, batch)
    logs = outputs - np.log(np.exp(outputs).sum(-1, keepdims=True))
    uniform = -logs.mean(-1).mean()
    assert smooth == pytest.approx(0.8 * plain + 0.2 * uniform, rel=1e-12)


@pytest.mark.parametrize(
    "optimizer",
    [
        ADAMW,
        OptimizerConfig(kind="adafactor"),
        OptimizerConfig(kind="lion"),
        OptimizerConfig(kind="muon", momentum=0.9),
        OptimizerConfig(kind="sgd", momentum=0.9),
    ],
    ids=lambda config: str(config.kind),
)
def test_every_optimizer_learns_a_batch_by_heart(optimizer: OptimizerConfig) -> None:
    rate = 0.003 if optimizer.kind == "lion" else 0.03
    trainer = made_trainer(optimizer=optimizer, schedule=constant(rate), clip=1.0)
    curve = losses(trainer, Spy(letters_batch(2)), 8)
    assert curve[-1] < curve[0] - 0.5


# less memory


def test_inner_values_computed_again_give_the_same_step() -> None:
    model = small_gpt2(**DROPPING)
    kept, again = (
        stepped(made_trainer(model, policy=DOUBLE, remat=remat), letters_batch(2))
        for remat in (False, True)
    )
    close(again[0], kept[0])
    assert again[1].loss == pytest.approx(kept[1].loss, rel=1e-13)


def test_only_transformer_layers_are_computed_again() -> None:
    with pytest.raises(ConfigError, match="remat"):
        made_trainer(_recurrent(small_gpt2()), remat=True)


def _recurrent(model: ModelConfig) -> ModelConfig:
    assert isinstance(model.decoder, TransformerConfig)
    return replace(model, decoder=RecurrentConfig(input_width=24, width=24))


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_m10_a_step_whose_targets_are_all_ignored_moves_nothing(clip: float) -> None:
    trainer = made_trainer(policy=DOUBLE, clip=clip)
    got, told = stepped(trainer, letters_batch(2, learned=0))
    assert (told.loss, told.norm, told.count) == (0.0, 0.0, 0)
    for name, start in first(made_trainer()).items():
        np.testing.assert_array_equal(got[name], start, err_msg=name)


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_m10_micro_batches_without_targets_add_nothing(clip: float) -> None:
    trainer, some = made_trainer(policy=DOUBLE, clip=clip), letters_batch(2)
    none = letters_batch(1, learned=0)
    close(stepped(trainer, none, some, none)[0], stepped(trainer, some)[0])
