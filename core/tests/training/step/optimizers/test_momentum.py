from __future__ import annotations

import numpy as np
import pytest
from optimizing import declared, made, run

from lmkernel.errors import ConfigError
from lmkernel.training.config import OptimizerConfig

ONE = {"w": np.array([1.0, -2.0])}
GRADS = [{"w": np.array([1.0, 2.0])}, {"w": np.array([3.0, -1.0])}]


def step_sgd(config: OptimizerConfig, **more: float) -> list[float]:
    params, _ = run(made(config, declared(w=(2,))), ONE, GRADS, **more)
    found: list[float] = params["w"].tolist()
    return found


def test_without_momentum_each_step_follows_its_gradient() -> None:
    assert step_sgd(OptimizerConfig(kind="sgd")) == pytest.approx([0.6, -2.1])


def test_without_momentum_there_is_no_state() -> None:
    _, state = run(made(OptimizerConfig(kind="sgd"), declared(w=(2,))), ONE, GRADS)
    assert state == {}


def test_momentum_carries_on() -> None:
    # the buffer is (1, 2) and then (3.5, 0)
    assert step_sgd(OptimizerConfig(kind="sgd", momentum=0.5)) == pytest.approx([0.55, -2.2])


def test_nesterov_looks_ahead() -> None:
    # the update is (1.5, 3) and then (3 + 0.5·3.5, -1 + 0.5·0)
    got = step_sgd(OptimizerConfig(kind="sgd", momentum=0.5, nesterov=True))
    assert got == pytest.approx([0.375, -2.2])


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(ConfigError, match=r"nesterov: expected False without momentum, got True"):
        made(OptimizerConfig(kind="sgd", nesterov=True), {})


def test_gradients_are_scaled_first() -> None:
    config = OptimizerConfig(kind="sgd", momentum=0.5)
    assert step_sgd(config, scale=2.0) == pytest.approx([0.1, -2.4])


def test_decay_is_decoupled_from_momentum_and_spares_the_bias() -> None:
    config = OptimizerConfig(kind="sgd", momentum=0.5, weight_decay=0.5)
    optimizer = made(config, declared(a_weight=(1, 1), a_bias=(1,)))
    start = {"a.weight": np.array([[4.0]]), "a.bias": np.array([4.0])}
    still = {"a.weight": np.zeros((1, 1)), "a.bias": np.zeros(1)}
    params, state = run(optimizer, start, [still, still])
    assert params["a.weight"] == pytest.approx(4 * 0.95**2)
    assert params["a.bias"] == 4
    assert state["momentum"]["a.weight"] == 0


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"OptimizerConfig.options: expected none, got"):
        made(OptimizerConfig(kind="sgd", options={"dampening": 0.1}), {})


# lion


def test_lion_the_step_is_the_sign_and_zero_stays() -> None:
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
