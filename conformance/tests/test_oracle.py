"""Second witnesses of the oracle: closed forms, other libraries, published definitions."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import special, stats

from lmkernel_conformance.oracle import (
    activation,
    attention,
    loss,
    norm,
    positions,
    recurrent,
    sampling,
    training,
)
from lmkernel_conformance.oracle.arithmetic import Arithmetic

AR = Arithmetic()
X = np.random.default_rng(3).normal(size=(4, 6)) * 3


@dataclass(frozen=True)
class Rotary:
    dim: int
    theta: float = 1e4
    scaling: str = "none"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 8192
    still: int = 0
    attention_factor: float = 1.0


def _close(got: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax(axis: int) -> None:
    _close(activation.softmax(AR, X, axis), special.softmax(X, axis))
    _close(activation.log_softmax(AR, X, axis), special.log_softmax(X, axis))


def test_gelu_is_x_times_the_normal_distribution() -> None:
    _close(activation.gelu(AR, X), X * stats.norm.cdf(X))


def test_gelu_and_its_approximation_differ_by_less_than_a_thousandth() -> None:
    x = np.linspace(-6, 6, 1001)
    gap = np.abs(activation.gelu(AR, x) - activation.gelu_tanh(AR, x))
    assert 1e-4 < gap.max() < 1e-3


def test_silu() -> None:
    _close(activation.silu(AR, X), X * special.expit(X))


def test_layer_norm_of_two_elements_is_their_order() -> None:
    x = np.array([[1.0, 5.0], [3.0, -2.0]])
    got = norm.layer_norm(AR, x, np.ones(2), np.zeros(2), 1e-30)
    _close(got, np.array([[-1.0, 1.0], [1.0, -1.0]]))


def test_rms_norm_has_unit_power() -> None:
    y = norm.rms_norm(AR, X, np.ones(6), 1e-30)
    _close((y * y).mean(-1), np.ones(4))


def test_attention_with_one_visible_key_is_its_value() -> None:
    q, k, v = (np.random.default_rng(i).normal(size=(1, 2, 3, 4)) for i in range(3))
    mask = np.zeros((1, 1, 3, 3), bool)
    mask[0, 0, np.arange(3), [2, 0, 1]] = True
    _close(attention.attention(AR, q, k, v, mask, scale=1.0), v[:, :, [2, 0, 1]])


def test_attention_groups_neighbouring_heads() -> None:
    q = np.zeros((1, 4, 1, 2))
    v = np.arange(2.0).reshape(1, 2, 1, 1)
    got = attention.attention(AR, q, np.zeros((1, 2, 1, 2)), v, None, scale=1.0)
    assert got.ravel().tolist() == [0, 0, 1, 1]


def test_hidden_query_gives_zeros() -> None:
    mask = np.array([[[[True, True], [False, False]]]])
    ones = np.ones((1, 1, 2, 3))
    got = attention.attention(AR, ones, ones, ones, mask, scale=1.0)
    assert got[0, 0].tolist() == [[1, 1, 1], [0, 0, 0]]


def test_window_of_three_sees_itself_and_two_before() -> None:
    where = np.arange(5)[None]
    mask = attention.visible(where, where, causal=True, window=3)
    assert mask[0, 0, 4].tolist() == [False, False, True, True, True]


def test_rotation_turns_complex_numbers() -> None:
    config = Rotary(dim=6, theta=5e5)
    where = np.array([[0, 2, 7]])
    x = np.random.default_rng(2).normal(size=(1, 1, 3, 6))
    got = positions.rotate(AR, x, *positions.rotation(AR, where, config))
    for t, i in np.ndindex(3, 3):
        turned = complex(x[0, 0, t, i], x[0, 0, t, i + 3]) * cmath.exp(
            1j * where[0, t] * 5e5 ** (-2 * i / 6)
        )
        _close(got[0, 0, t, [i, i + 3]], np.array([turned.real, turned.imag]))


def test_rotated_products_depend_on_distance_alone() -> None:
    config, rng = Rotary(dim=8), np.random.default_rng(4)
    q, k = rng.normal(size=(2, 1, 1, 1, 8))
    products = []
    for shift in (0, 5, 90):
        turned = [
            positions.rotate(AR, x, *positions.rotation(AR, np.array([[p + shift]]), config))
            for x, p in ((q, 7), (k, 3))
        ]
        products.append(float((turned[0] * turned[1]).sum()))
    _close(np.array(products), np.full(3, products[0]))


def test_llama3_scaling_keeps_short_and_stretches_long_wavelengths() -> None:
    config = Rotary(dim=64, theta=5e5, scaling="llama3", factor=8.0)
    plain = 5e5 ** (-np.arange(32) / 32)
    got = positions.frequencies(config)
    wavelengths = 2 * math.pi / plain
    short, long = wavelengths < 8192 / 4, wavelengths > 8192
    _close(got[short], plain[short])
    _close(got[long], plain[long] / 8)
    middle = ~(short | long)
    assert middle.sum() > 1
    assert ((got < plain) & (got > plain / 8))[middle].all()


def test_sinusoids_of_position_one() -> None:
    got = positions.sinusoids(AR, np.array([[1]]), 4)[0, 0]
    _close(got, np.array([math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)]))


def test_cross_entropy_of_even_odds() -> None:
    got = loss.cross_entropy(AR, np.zeros((2, 4)), np.array([1, -1]), 0.3)
    _close(got, np.array([math.log(4), 0.0]))


def test_gru_with_a_closed_update_gate_keeps_its_state() -> None:
    x, h = np.zeros((1, 6)), np.array([[0.3, -0.7]])
    x[:, 2:4] = 50.0
    got = recurrent.gru_cell(AR, x, h, np.ones((6, 2)), np.zeros(6))
    _close(got, h)


def test_lstm_that_writes_nothing_and_forgets_nothing() -> None:
    x, c = np.array([[-50.0, 50.0, 0.4, 0.0]]), np.array([[0.8]])
    h, kept = recurrent.lstm_cell(AR, x, np.zeros((1, 1)), c, np.zeros((4, 1)), np.zeros(4))
    _close(kept, c)
    _close(h, 0.5 * np.tanh(c))


def test_distribution_filters() -> None:
    logits = [math.log(p) for p in (0.5, 0.3, 0.15, 0.05)]
    assert sampling.distribution(logits, top_k=1) == [1.0, 0.0, 0.0, 0.0]
    _close(np.array(sampling.distribution(logits, top_p=0.7)), np.array([0.625, 0.375, 0, 0]))
    kept = sampling.distribution(logits, min_p=0.25)
    assert [p > 0 for p in kept] == [True, True, True, False]
    assert sampling.pick([0.625, 0.375, 0.0], 0.63) == 1


def test_the_balance_of_experts_by_hand() -> None:
    """Two layers, three experts of which one is chosen; the second row's first place is padding."""
    likely = np.array([[[0.5, 0.3, 0.2], [0.9, 0.05, 0.05], [0.1, 0.2, 0.7], [0.2, 0.6, 0.2]]] * 2)
    likely[1, 0] = [0.25, 0.5, 0.25]
    positions = np.array([[0, 1], [-1, 0]])
    found = training._balance(AR, [np.log(x) for x in likely], positions, 1)
    uses = np.array([3, 3, 0]) / 6
    chances = likely[:, [0, 1, 3]].sum((0, 1)) / 6
    assert float(found) == pytest.approx(3 * (uses @ chances), rel=1e-14)
