from __future__ import annotations

import numpy as np
import pytest
from optimizing import declared, made, run

from lmkernel.training.config import OptimizerConfig


def test_the_step_is_the_sign_and_zero_stays() -> None:
    optimizer = made(OptimizerConfig(kind="lion", beta2=0.99), declared(w=(3,)))
    params, state = run(optimizer, {"w": np.ones(3)}, [{"w": np.array([3.0, -1e-6, 0.0])}])
    assert params["w"].tolist() == pytest.approx([0.9, 1.1, 1.0])
    assert state["m"]["w"].tolist() == pytest.approx([0.03, -1e-8, 0.0])


def test_the_sign_is_of_the_mixture_by_beta1_and_the_memory_by_beta2() -> None:
    # m = 0.5·g₁ = 2; then 0.9·2 - 0.1·g₂ is 1.8 - 0.5 > 0, and m = 1 - 2.5
    optimizer = made(OptimizerConfig(kind="lion", beta1=0.9, beta2=0.5), declared(w=(1,)))
    grads = [{"w": np.array([4.0])}, {"w": np.array([-5.0])}]
    params, state = run(optimizer, {"w": np.zeros(1)}, grads)
    assert params["w"].tolist() == pytest.approx([-0.2])
    assert state["m"]["w"].tolist() == pytest.approx([-1.5])


def test_weights_decay() -> None:
    optimizer = made(OptimizerConfig(kind="lion", weight_decay=0.5), declared(a_weight=(1, 1)))
    params, _ = run(optimizer, {"a.weight": np.full((1, 1), 2.0)}, [{"a.weight": np.zeros((1, 1))}])
    assert params["a.weight"] == pytest.approx(1.9)
