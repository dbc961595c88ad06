"""The composed trainer of adapters: what is trained, merged, resumed and refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from trainer_probes import first, same_bits
from training_samples import DOUBLE, constant, letters_batch, letters_batches, made_trainer

from lmkernel.errors import InputError
from lmkernel.training.config import LoraConfig

if TYPE_CHECKING:
    from lmkernel.training.step.trainer import ComposedTrainer

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
