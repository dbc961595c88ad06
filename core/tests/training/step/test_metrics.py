"""What sums over batches come to."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lmkernel.training.step.metrics import Metrics


def classes(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int32)


def add(
    metrics: Metrics,
    total: float,
    count: float,
    targets: np.ndarray,
    predicted: np.ndarray | None = None,
) -> None:
    sums = {"total": np.array(total), "count": np.array(count)}
    metrics.add(sums if predicted is None else {**sums, "predicted": predicted}, targets)


def test_loss_is_the_total_divided_by_the_count_over_batches() -> None:
    metrics = Metrics()
    add(metrics, 6.0, 2.0, classes(0, 1))
    add(metrics, 1.0, 5.0, classes(0, 1))
    assert metrics.result() == {"loss": 1.0, "targets": 7.0}


def test_nothing_seen_is_a_loss_of_zero() -> None:
    assert Metrics().result() == {"loss": 0.0, "targets": 0.0}


def test_perplexity_is_the_exponential_of_the_loss() -> None:
    metrics = Metrics()
    add(metrics, math.log(8.0) * 3, 3.0, np.array([[1, 2, 3]]), np.array([[1, 2, 0]]))
    got = metrics.result()
    assert got["perplexity"] == pytest.approx(8.0, rel=1e-14)
    assert got["accuracy"] == pytest.approx(2 / 3)
    assert "f1" not in got  # there is one class for each position, not for each row


def test_perplexity_beyond_all_numbers_is_infinite() -> None:
    metrics = Metrics()
    add(metrics, 701.0, 1.0, classes(1), classes(1))
    assert metrics.result()["perplexity"] == math.inf


def test_ignored_targets_are_neither_right_nor_wrong() -> None:
    metrics = Metrics()
    add(metrics, 0.0, 1.0, np.array([[-1, 2], [-100, -1]]), np.array([[-1, 2], [-100, 4]]))
    assert metrics.result()["accuracy"] == 1.0


def test_f1_is_the_mean_over_classes() -> None:
    """By hand: class 0 has tp 2, fp 1, fn 1; class 1 has tp 1, fp 1, fn 0; class 2 tp 0, fn 1."""
    metrics = Metrics()
    add(metrics, 0.0, 3.0, classes(0, 0, 0), classes(0, 0, 1))
    add(metrics, 0.0, 3.0, classes(1, 2, -1), classes(1, 0, 2))
    expected = (2 * 2 / (4 + 1 + 1) + 2 * 1 / (2 + 1 + 0) + 0) / 3
    assert metrics.result()["f1"] == pytest.approx(expected, rel=1e-14)
    assert metrics.result()["accuracy"] == pytest.approx(3 / 5)


def test_f1_counts_a_class_that_was_only_predicted() -> None:
    metrics = Metrics()
    add(metrics, 0.0, 2.0, classes(0, 0), classes(0, 5))
    assert metrics.result()["f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_f1_is_one_when_all_is_right() -> None:
    metrics = Metrics()
    add(metrics, 0.0, 3.0, classes(3, 1, 2), classes(3, 1, 2))
    assert metrics.result()["f1"] == 1.0
