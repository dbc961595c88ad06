"""Arrays that round at random: by how much, how often, and what stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

from lmkernel_conformance.oracle.rounding import Noise, NoisyArray, with_noise

EPS = float(np.finfo(np.float32).eps)


def noisy(x: object, run: int = 1) -> NoisyArray:
    found: NoisyArray = with_noise(np.asarray(x, np.float32), Noise(run))
    return found


@pytest.mark.parametrize("run", [1, 2, 3])
def test_a_result_moves_by_a_unit_at_most_and_not_always(run: int) -> None:
    ones = np.ones(6000, np.float32)
    moved = np.asarray(noisy(ones, run) * ones)
    values, counts = np.unique(moved, return_counts=True)
    assert values.tolist() == [1 - EPS / 2, 1, 1 + EPS]
    assert np.abs(counts / 6000 - [1 / 3, 1 / 2, 1 / 6]).max() < 0.03
    assert abs(float((moved.astype(float) - 1).mean())) < EPS / 20


def test_in_every_fourth_run_all_elements_move_together() -> None:
    ones = np.ones(100, np.float32)
    x = noisy(ones, 4)
    moved = [np.unique(np.asarray(x * ones)) for _ in range(30)]
    assert all(len(values) == 1 for values in moved)
    assert len({float(values[0]) for values in moved}) == 3


def test_in_every_fourth_run_what_is_below_the_normal_numbers_becomes_zero() -> None:
    small = np.array([1e-39, -1e-39, 2e-38, 0.0])
    flushed, kept = (np.asarray(noisy(small, run) * 1) for run in (1, 2))
    assert (flushed[:2] == 0).all()
    assert (kept[:2] != 0).all()
    assert flushed[2] == pytest.approx(2e-38)


def test_no_operation_moves_as_the_one_before() -> None:
    x = noisy(np.ones(100))
    assert (np.asarray(x * 1) != np.asarray(x * 1)).any()


def test_a_run_repeats() -> None:
    twice = [np.asarray(np.exp(noisy(np.arange(9.0))) / 3) for _ in range(2)]
    np.testing.assert_array_equal(*twice)


def test_infinity_nan_and_zero_stay() -> None:
    special = np.array([np.inf, -np.inf, np.nan, 0.0] * 20)
    np.testing.assert_array_equal(np.asarray(noisy(special) * 1), special.astype(np.float32))


def test_comparison_selection_and_shape_move_nothing() -> None:
    x = noisy(np.arange(12.0))
    assert (x > 3).dtype == bool
    np.testing.assert_array_equal(np.maximum(x, 4), np.maximum(np.arange(12), 4))
    np.testing.assert_array_equal(-x.reshape(3, 4).T[1:], -np.arange(12).reshape(3, 4).T[1:])


def test_views_copies_and_results_go_on_rounding() -> None:
    x = noisy(np.arange(12.0))
    for y in (x[2:], x.copy(), x.reshape(3, 4).T, x.sum(keepdims=True), -x, x * x):
        assert isinstance(y, NoisyArray)
        assert y.noise is x.noise


def test_large_arrays_move_too() -> None:
    moved = np.asarray(noisy(np.ones(300_000)) * 1)
    assert 0.4 < (moved != 1).mean() < 0.6
