from __future__ import annotations

import math

import numpy as np
import pytest
from optimizing import declared, made, run

from lmkernel.errors import ConfigError
from lmkernel.training.config import OptimizerConfig


def test_first_step_of_a_vector_is_the_sign_times_its_own_scale() -> None:
    optimizer = made(OptimizerConfig(kind="adafactor"), declared(w=(2,)))
    params, state = run(optimizer, {"w": np.array([3.0, -4.0])}, [{"w": np.array([2.0, -1.0])}])
    size = 0.1 * math.sqrt(12.5)
    assert params["w"].tolist() == pytest.approx([3 - size, -4 + size])
    assert state["v"]["w"].tolist() == [4.0, 1.0]


def test_a_matrix_keeps_a_row_and_a_column() -> None:
    optimizer = made(OptimizerConfig(kind="adafactor"), declared(a_weight=(2, 3)))
    g = np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]])
    _, state = run(optimizer, {"a.weight": np.ones((2, 3))}, [{"a.weight": g}])
    assert state["row"]["a.weight"] == pytest.approx(np.array([[14 / 3], [1 / 3]]))
    assert state["column"]["a.weight"] == pytest.approx(np.array([[0.5, 2.5, 4.5]]))
    assert set(state) == {"row", "column"}


def test_a_matrix_of_rank_one_is_kept_exactly() -> None:
    # g² = r·cᵀ, so that u = ±1 at the first step, and its rms is 1
    optimizer = made(OptimizerConfig(kind="adafactor"), declared(a_weight=(2, 3)))
    g = np.outer([1.0, -2.0], [3.0, 1.0, -0.5])
    params, _ = run(optimizer, {"a.weight": np.ones((2, 3))}, [{"a.weight": g}])
    np.testing.assert_allclose(params["a.weight"], 1 - 0.1 * np.sign(g), rtol=1e-12)


def test_the_relative_step_is_capped_by_the_rate_and_falls() -> None:
    optimizer = made(OptimizerConfig(kind="adafactor"), {})
    assert optimizer.scalars(1, 0.3)["relative"] == 0.3
    assert optimizer.scalars(100, 0.3)["relative"] == pytest.approx(0.1)
    assert optimizer.scalars(32, 0.3)["fresh"] == pytest.approx(1 / 16)


def test_a_parameter_of_zeros_moves_by_the_least_scale() -> None:
    config = OptimizerConfig(kind="adafactor", options={"eps2": 0.01})
    params, _ = run(made(config, declared(w=(1,))), {"w": np.zeros(1)}, [{"w": np.ones(1)}])
    assert params["w"].tolist() == pytest.approx([-0.001])


def test_a_surge_is_clipped_to_the_threshold() -> None:
    # at step 2 the share of the new is 2^-0.8, so u = 1 / √share, beyond d
    config = OptimizerConfig(kind="adafactor", options={"d": 0.5})
    optimizer = made(config, declared(w=(1,)))
    state = {"v": {"w": np.zeros(1)}}
    params, _ = run(optimizer, {"w": np.ones(1)}, [{"w": np.ones(1)}], state=state, first=2)
    assert params["w"].tolist() == pytest.approx([1 - 0.1 * 0.5])


def test_zero_gradients_leave_zeros_and_decay_weights_alone() -> None:
    config = OptimizerConfig(kind="adafactor", weight_decay=0.5)
    optimizer = made(config, declared(a_weight=(2, 2), a_bias=(2,)))
    start = {"a.weight": np.full((2, 2), 4.0), "a.bias": np.full(2, 4.0)}
    still = {name: np.zeros_like(x) for name, x in start.items()}
    params, _ = run(optimizer, start, [still])
    np.testing.assert_allclose(params["a.weight"], np.full((2, 2), 3.8))
    assert params["a.bias"].tolist() == [4.0, 4.0]


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected names among beta2_decay, eps2, d, got"):
        made(OptimizerConfig(kind="adafactor", options={"eps1": 0.1}), {})
