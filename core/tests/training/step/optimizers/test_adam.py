from __future__ import annotations

import math

import numpy as np
import pytest
from optimizing import declared, made, run

from lmkernel.errors import ConfigError
from lmkernel.training.config import OptimizerConfig


def test_first_step_is_the_rate_whatever_the_gradient() -> None:
    optimizer = made(OptimizerConfig(kind="adam", eps=1e-12), declared(w=(2,)))
    params, _ = run(optimizer, {"w": np.zeros(2)}, [{"w": np.array([5.0, -1e-4])}])
    assert params["w"].tolist() == pytest.approx([-0.1, 0.1])


def test_eps_is_added_to_the_corrected_root() -> None:
    # m̂ = g and √v̂ = |g|, so that the step is rate · g / (g + ε), at any step of equal gradients
    optimizer = made(OptimizerConfig(kind="adam", eps=1e-7), declared(w=(1,)))
    params, _ = run(optimizer, {"w": np.zeros(1)}, [{"w": np.array([1e-7])}] * 3)
    assert params["w"].tolist() == pytest.approx([-0.1 * 3 / 2])


def test_two_steps_by_hand() -> None:
    config = OptimizerConfig(kind="adam", beta1=0.5, beta2=0.75, eps=0.5)
    params, state = run(
        made(config, declared(w=(1,))),
        {"w": np.array([1.0])},
        [{"w": np.array([2.0])}, {"w": np.array([-1.0])}],
    )
    assert state["m"]["w"].tolist() == [0.5 * 1.0 - 0.5]
    assert state["v"]["w"].tolist() == [0.75 * 1.0 + 0.25]
    second = 0.0 / (math.sqrt(1.0 / 0.4375) + 0.5)
    assert params["w"].tolist() == pytest.approx([1 - 0.1 * (2 / 2.5) - 0.1 * second])


def test_gradients_are_scaled_first() -> None:
    optimizer = made(OptimizerConfig(kind="adamw", eps=0.3), declared(w=(3,)))
    start = {"w": np.array([1.0, 2.0, 3.0])}
    g = np.array([0.3, -2.0, 0.01])
    scaled, state = run(optimizer, start, [{"w": g}] * 2, scale=0.25)
    plain, other = run(optimizer, start, [{"w": g / 4}] * 2)
    np.testing.assert_allclose(scaled["w"], plain["w"], rtol=1e-14)
    np.testing.assert_allclose(state["v"]["w"], other["v"]["w"], rtol=1e-14)


def test_adamw_decays_weights_alone_and_leaves_the_moments() -> None:
    config = OptimizerConfig(kind="adamw", weight_decay=0.5)
    optimizer = made(config, declared(a_weight=(1, 1), a_bias=(1,), norm_weight=(1,)))
    start = {name: np.full(shape, 4.0) for name, shape in SHAPES.items()}
    still = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    params, state = run(optimizer, start, [still, still])
    assert params["a.weight"] == pytest.approx(4 * 0.95**2)
    assert params["a.bias"] == params["norm.weight"] == 4
    assert state["m"]["a.weight"] == state["v"]["a.weight"] == 0


SHAPES = {"a.weight": (1, 1), "a.bias": (1,), "norm.weight": (1,)}


def test_adam_refuses_weight_decay_and_names_adamw() -> None:
    with pytest.raises(ConfigError, match=r"weight_decay: expected 0 .*'adamw'.*, got 0.1"):
        made(OptimizerConfig(kind="adam", weight_decay=0.1), {})


def test_order_of_the_mappings_does_not_matter() -> None:
    shapes = declared(a_weight=(2, 2), b_weight=(2, 2))
    optimizer = made(OptimizerConfig(kind="adamw", weight_decay=0.1), shapes)
    start = {"a.weight": np.eye(2), "b.weight": -np.eye(2)}
    grads = {"a.weight": np.full((2, 2), 1.0), "b.weight": np.full((2, 2), -3.0)}
    turned = dict(reversed(grads.items()))
    one, _ = run(optimizer, start, [grads])
    other, _ = run(optimizer, start, [turned])
    assert all(np.array_equal(one[name], other[name]) for name in start)


def test_a_state_goes_on_where_it_stopped() -> None:
    optimizer = made(OptimizerConfig(kind="adamw"), declared(w=(2,)))
    grads = [{"w": np.array([1.0, -2.0]) * k} for k in (1, -3, 2, 5)]
    whole, _ = run(optimizer, {"w": np.ones(2)}, grads)
    half, state = run(optimizer, {"w": np.ones(2)}, grads[:2])
    rest, _ = run(optimizer, half, grads[2:], state=state, first=3)
    assert whole["w"].tolist() == rest["w"].tolist()
