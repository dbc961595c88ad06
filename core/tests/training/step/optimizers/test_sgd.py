from __future__ import annotations

import numpy as np
import pytest
from optimizing import declared, made, run

from lmkernel.errors import ConfigError
from lmkernel.training.config import OptimizerConfig

ONE = {"w": np.array([1.0, -2.0])}
GRADS = [{"w": np.array([1.0, 2.0])}, {"w": np.array([3.0, -1.0])}]


def moved(config: OptimizerConfig, **more: float) -> list[float]:
    params, _ = run(made(config, declared(w=(2,))), ONE, GRADS, **more)
    found: list[float] = params["w"].tolist()
    return found


def test_without_momentum_each_step_follows_its_gradient() -> None:
    assert moved(OptimizerConfig(kind="sgd")) == pytest.approx([0.6, -2.1])


def test_without_momentum_there_is_no_state() -> None:
    _, state = run(made(OptimizerConfig(kind="sgd"), declared(w=(2,))), ONE, GRADS)
    assert state == {}


def test_momentum_carries_on() -> None:
    # the buffer is (1, 2) and then (3.5, 0)
    assert moved(OptimizerConfig(kind="sgd", momentum=0.5)) == pytest.approx([0.55, -2.2])


def test_nesterov_looks_ahead() -> None:
    # the update is (1.5, 3) and then (3 + 0.5·3.5, -1 + 0.5·0)
    got = moved(OptimizerConfig(kind="sgd", momentum=0.5, nesterov=True))
    assert got == pytest.approx([0.375, -2.2])


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(ConfigError, match=r"nesterov: expected False without momentum, got True"):
        made(OptimizerConfig(kind="sgd", nesterov=True), {})


def test_gradients_are_scaled_first() -> None:
    config = OptimizerConfig(kind="sgd", momentum=0.5)
    assert moved(config, scale=2.0) == pytest.approx([0.1, -2.4])


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
