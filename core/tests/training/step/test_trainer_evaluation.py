"""The composed trainer without training: evaluation and prediction."""

from __future__ import annotations

import numpy as np
import pytest
from trainer_probes import first
from training_samples import (
    DOUBLE,
    DROPPING,
    letters_batch,
    letters_batches,
    made_trainer,
    small_gpt2,
)

from lmkernel.interfaces import LossConfig


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
