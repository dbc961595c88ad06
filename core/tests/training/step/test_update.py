from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel.backend import load_backend
from lmkernel.training.step.gradients import clip_factor

OPS = load_backend("numpy").ops


def norm_of(*arrays: list[Any]) -> np.ndarray:
    return OPS.to_numpy(OPS.global_norm([OPS.asarray(value, "float32") for value in arrays]))


def factor(norm: float, limit: float) -> float:
    return float(OPS.to_numpy(clip_factor(OPS, OPS.asarray(norm, "float32"), limit)))


def test_norm_is_of_all_gradients_together() -> None:
    got = norm_of([2.0, 4.0], [[5.0], [-6.0]])
    assert got.shape == ()
    assert got == 9.0


def test_a_norm_below_the_limit_changes_nothing() -> None:
    assert factor(0.5, 1.0) == 1.0
    assert factor(1.0, 1.0) == 1.0


def test_a_norm_above_the_limit_is_brought_down_to_it() -> None:
    assert factor(8.0, 2.0) == 0.25


def test_zero_gradients_stay_zero() -> None:
    assert norm_of([0.0, 0.0]) == 0.0
    assert factor(0.0, 1.0) == 1.0


def test_an_infinite_norm_is_not_hidden() -> None:
    assert np.isinf(norm_of([1e30, 1e30]))
    assert factor(float("inf"), 1.0) == 0.0
