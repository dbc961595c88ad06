"""The composed trainer: steps, accumulation, clipping, resuming, evaluation, adapters, hooks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
import pytest
from training_samples import (
    DOUBLE,
    DROPPING,
    constant,
    letters_batch,
    letters_batches,
    made_trainer,
    small_gpt2,
)

from lmkernel.config import ModelConfig, PrecisionPolicy, RecurrentConfig, TransformerConfig
from lmkernel.errors import ConfigError, InputError, NotFiniteError, UnknownNameError
from lmkernel.interfaces import Callback, LossConfig
from lmkernel.training.config import LoraConfig, OptimizerConfig, ScheduleConfig
from lmkernel.training.data import Batches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.interfaces import StepResult, Trainer, TrainingState
    from lmkernel.training.data import Batch
    from lmkernel.training.trainer import ComposedTrainer

ADAMW = OptimizerConfig(kind="adamw", weight_decay=0.1)


def first(trainer: ComposedTrainer, seed: int = 2) -> Mapping[str, np.ndarray]:
    return {name: x.astype(np.float64) * 3 for name, x in trainer.model.initial(seed).items()}


def stepped(
    trainer: ComposedTrainer, *batches: Batch
) -> tuple[Mapping[str, np.ndarray], StepResult]:
    """The weights after one step, and what it told."""
    state, result = trainer.step(trainer.start(first(trainer)), batches)
    return trainer.weights(state), result


def close(got: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert got.keys() == expected.keys()
    for name, x in expected.items():
        np.testing.assert_allclose(got[name], x, rtol=1e-12, atol=1e-14, err_msg=name)


def same_bits(got: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
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
    notes: list[Any] = []
    trainer.fit(trainer.start(first(trainer)), data, until=until, callbacks=[Hook(notes)])
    return [result.loss for _, _, result in notes]


# one step


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


# a run of steps


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


# what is refused


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


# without training


def test_evaluation_has_no_dropout_and_no_smoothing() -> None:
    plain = made_trainer(policy=DOUBLE)
    smoothed = LossConfig(kind="cross_entropy", smoothing=0.3)
    noisy = made_trainer(small_gpt2(**DROPPING), policy=DOUBLE, loss=smoothed)
    data = letters_batches()
    expected = plain.evaluate(plain.start(first(plain)), data)
    assert noisy.evaluate(noisy.start(first(noisy)), data) == expected


def test_evaluation_is_the_mean_over_all_targets_of_an_epoch() -> None:
    trainer = made_trainer(policy=DOUBLE)
    state = trainer.start(first(trainer))
    data = letters_batches()
    totals, right = [], []
    for number in range(len(data)):
        batch = data.at(number)
        outputs, targets = trainer.predict(state, batch), batch["targets"]
        logs = outputs - np.log(np.exp(outputs).sum(-1, keepdims=True))
        totals.append(-np.take_along_axis(logs, targets[..., None], -1).ravel())
        right.append((outputs.argmax(-1) == targets).ravel())
    got = trainer.evaluate(state, data)
    loss = np.concatenate(totals).mean()
    assert got["loss"] == pytest.approx(loss, rel=1e-12)
    assert got["perplexity"] == pytest.approx(np.exp(loss), rel=1e-12)
    assert got["accuracy"] == pytest.approx(np.concatenate(right).mean())
    assert got["targets"] == 60


def test_prediction_takes_a_batch_with_or_without_targets() -> None:
    trainer = made_trainer()
    state, batch = trainer.start(first(trainer)), letters_batch(2)
    with_targets = trainer.predict(state, batch)
    assert with_targets.shape == (2, 6, 61)
    np.testing.assert_array_equal(trainer.predict(state, {"inputs": batch["inputs"]}), with_targets)


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


# adapters

LORA = LoraConfig(rank=2, alpha=6.0, targets=("q", "down"))


@pytest.fixture
def adapted() -> tuple[ComposedTrainer, ComposedTrainer, Any]:
    """A trainer of adapters, one of the whole model, and the first one's state after two steps."""
    lora = made_trainer(policy=DOUBLE, lora=LORA, schedule=constant(3.0), clip=0.0)
    whole = made_trainer(policy=DOUBLE)
    state = lora.fit(lora.start(first(lora)), letters_batches(), until=2)
    return lora, whole, state


def test_adapters_start_from_the_model_as_it_was() -> None:
    lora, whole = made_trainer(lora=LORA), made_trainer()
    batch = letters_batch(2)
    expected = whole.predict(whole.start(first(whole)), batch)
    np.testing.assert_array_equal(lora.predict(lora.start(first(lora)), batch), expected)


def test_adapters_alone_are_trained(adapted: tuple[ComposedTrainer, Any, Any]) -> None:
    lora, _, state = adapted
    start = lora.trained(lora.start(first(lora)))
    trained = lora.trained(state)
    layers = [f"decoder.layers.{i}.{n}" for i in (0, 1) for n in ("attention.q", "mlp.down")]
    assert set(trained) == {f"{n}.{half}" for n in layers for half in ("lora_a", "lora_b")}
    for name, x in trained.items():
        assert (x != start[name]).any(), name
    frozen = {name: lora.model.backend.ops.to_numpy(x) for name, x in state.frozen.items()}
    same_bits(frozen, first(lora))


def test_merged_weights_give_what_the_adapters_gave(
    adapted: tuple[ComposedTrainer, ComposedTrainer, Any],
) -> None:
    lora, whole, state = adapted
    batch = letters_batch(3, seed=8)
    got = whole.predict(whole.start(lora.weights(state)), batch)
    expected = lora.predict(state, batch)
    assert np.abs(expected - lora.predict(lora.start(first(lora)), batch)).max() > 1e-3
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


def test_adapters_resume_to_the_same_bits(adapted: tuple[ComposedTrainer, Any, Any]) -> None:
    lora, _, state = adapted
    again = made_trainer(policy=DOUBLE, lora=LORA, schedule=constant(3.0))
    saved = lora.trained(state), lora.optimizer_values(state)
    end = again.fit(again.restore(first(again), *saved, 2), letters_batches(), until=4)
    expected = lora.fit(lora.start(first(lora)), letters_batches(), until=4)
    same_bits(again.trained(end), lora.trained(expected))


def test_adapters_of_another_rank_are_refused(adapted: tuple[ComposedTrainer, Any, Any]) -> None:
    lora, _, state = adapted
    other = made_trainer(lora=replace(LORA, rank=3))
    with pytest.raises(InputError, match=r"lora_a: expected the shape \(3, \d+\), got \(2"):
        other.restore(first(other), lora.trained(state), lora.optimizer_values(state), 2)
