from __future__ import annotations

import numpy as np
import pytest
from optimizing import declared, made, run

from lmkernel.errors import ConfigError
from lmkernel.interfaces import Init, Param
from lmkernel.training.config import OptimizerConfig
from lmkernel.training.step.optimizers.muon import is_hidden_matrix

ORIGINAL = {"adjust": "original"}


def _step(config: OptimizerConfig, g: np.ndarray) -> np.ndarray:
    optimizer = made(config, declared(a_weight=g.shape))
    params, _ = run(optimizer, {"a.weight": np.zeros(g.shape)}, [{"a.weight": g}])
    moved: np.ndarray = params["a.weight"]
    return moved


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3)])
def test_all_directions_move_about_alike(shape: tuple[int, int]) -> None:
    g = np.random.default_rng(1).normal(size=shape)
    config = OptimizerConfig(kind="muon", momentum=0.5, options=ORIGINAL)
    u, s, vt = np.linalg.svd(-_step(config, g) / (0.1 * max(1, shape[0] / shape[1]) ** 0.5))
    assert s.min() > 0.6
    assert s.max() < 1.25
    assert u.shape[0] == shape[0]
    assert vt.shape[0] == shape[1]


def test_a_diagonal_follows_the_polynomial() -> None:
    a, b, c = 3.4445, -4.7750, 2.0315
    s = np.array([3.0, 4.0]) / 5
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    moved = _step(OptimizerConfig(kind="muon", options=ORIGINAL), np.diag([3.0, -4.0]))
    np.testing.assert_allclose(moved, -0.1 * np.diag(s) @ np.diag([1, -1]), atol=1e-15)


@pytest.mark.parametrize(("shape", "size"), [((2, 8), 0.2 * 8**0.5), ((8, 2), 0.2 * 8**0.5)])
def test_the_size_matches_adamw_unless_asked_otherwise(shape: tuple[int, int], size: float) -> None:
    g = np.random.default_rng(2).normal(size=shape)
    matched = _step(OptimizerConfig(kind="muon"), g)
    original = _step(OptimizerConfig(kind="muon", options=ORIGINAL), g)
    np.testing.assert_allclose(matched, original * size / max(1, shape[0] / shape[1]) ** 0.5)


def test_momentum_is_a_mean_and_nesterov_mixes_it_again() -> None:
    config = OptimizerConfig(kind="muon", momentum=0.75)
    optimizer = made(config, declared(a_weight=(2, 2)))
    grads = [{"a.weight": np.eye(2)}, {"a.weight": 5 * np.eye(2)}]
    _, state = run(optimizer, {"a.weight": np.zeros((2, 2))}, grads)
    np.testing.assert_allclose(state["momentum"]["a.weight"], (0.75 * 0.25 + 1.25) * np.eye(2))


def test_nesterov_turns_towards_the_gradient() -> None:
    grads = [{"a.weight": np.diag([1.0, 0.0])}, {"a.weight": np.diag([0.0, 1.0])}]
    second = []
    for ahead in (False, True):
        config = OptimizerConfig(kind="muon", momentum=0.9, nesterov=ahead)
        optimizer = made(config, declared(a_weight=(2, 2)))
        params, _ = run(optimizer, {"a.weight": np.zeros((2, 2))}, grads)
        second.append(params["a.weight"])
    assert not np.allclose(second[0], second[1])


def test_only_hidden_matrices_are_made_orthogonal() -> None:
    init = Init("ones")
    assert is_hidden_matrix(Param((4, 4), init, ("hidden", "embed")))
    assert not is_hidden_matrix(Param((9, 4), init, ("vocab", "embed")))
    assert not is_hidden_matrix(Param((9, 4), init, ("position", "embed")))
    assert not is_hidden_matrix(Param((2, 4), init, ("segment", "embed")))
    assert not is_hidden_matrix(Param((4,), init, ("embed",)))


def test_the_rest_goes_by_adamw() -> None:
    both = declared(a_weight=(2, 2), a_bias=(2,))
    start = {"a.weight": np.eye(2), "a.bias": np.ones(2)}
    grads = [{"a.weight": np.eye(2), "a.bias": np.array([1.0, -2.0])}] * 2
    params, state = run(made(OptimizerConfig(kind="muon"), both), start, grads)
    adamw = made(OptimizerConfig(kind="adamw"), declared(a_bias=(2,)))
    expected, _ = run(adamw, {"a.bias": start["a.bias"]}, grads)
    assert params["a.bias"].tolist() == expected["a.bias"].tolist()
    assert {slot: list(own) for slot, own in state.items()} == {
        "momentum": ["a.weight"],
        "m": ["a.bias"],
        "v": ["a.bias"],
    }
    assert list(params) == list(start)


def test_zero_gradients_move_nothing_but_decay() -> None:
    config = OptimizerConfig(kind="muon", weight_decay=0.5)
    optimizer = made(config, declared(a_weight=(2, 2)))
    params, _ = run(optimizer, {"a.weight": np.eye(2)}, [{"a.weight": np.zeros((2, 2))}])
    np.testing.assert_allclose(params["a.weight"], 0.95 * np.eye(2))


def test_unknown_adjustment_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected adjust to be one of match_rms_adamw, orig"):
        made(OptimizerConfig(kind="muon", options={"adjust": "none"}), {})
