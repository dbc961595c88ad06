"""RoPE beside its published formulas, at positions near and far, and by the length of a row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.components.rotary import Rotation, frequencies
from lmkernel.config import RotaryConfig
from lmkernel.errors import ConfigError

_FAR = [131_071, 131_072, 1_000_003, 2**24 - 1]
_ULP = float(np.finfo(np.float32).eps)


def _angles(config: RotaryConfig, positions: Any, dtype: Any) -> Any:
    backend = load_backend()
    with backend:
        ops = backend.ops
        turned = Rotation(ops, config)(ops.asarray(np.array(positions), "int32"), dtype)
        return [ops.to_numpy(part)[:, 0] for part in turned]


@pytest.mark.parametrize("scaling", ["none", "linear", "llama3", "yarn"])
def test_far_positions_turn_as_exactly_as_near_ones(scaling: str) -> None:
    config = RotaryConfig(dim=16, theta=5e5, scaling=scaling, factor=4.0, original_context=2048)
    angles = np.array([_FAR], dtype=np.float64)[..., None] * frequencies(config)
    cos, sin = _angles(config, [_FAR], "float32")
    # three digits, so two complex products: each adds at most two units in the last place
    assert np.abs(cos - np.cos(angles)).max() < 6 * _ULP
    assert np.abs(sin - np.sin(angles)).max() < 6 * _ULP


def _yarn_ramp(dim: int, theta: float, context: int, fast: float, slow: float) -> list[float]:
    """The share of each frequency that is kept: equations 18 and 23 of arXiv:2309.00071."""

    def index(turns: float) -> float:
        return dim / 2 * math.log(context / (turns * 2 * math.pi), theta)

    low, high = max(math.floor(index(fast)), 0), min(math.ceil(index(slow)), dim - 1)
    return [1 - min(max((i - low) / (high - low), 0.0), 1.0) for i in range(dim // 2)]


def test_yarn_keeps_short_wavelengths_and_stretches_long_ones() -> None:
    config = RotaryConfig(dim=32, theta=1e4, scaling="yarn", factor=8.0, original_context=512)
    kept = _yarn_ramp(32, 1e4, 512, 32, 1)
    plain = [1e4 ** (-2 * i / 32) for i in range(16)]
    expected = [k * f + (1 - k) * f / 8 for k, f in zip(kept, plain, strict=True)]
    assert 0 < sum(0 < k < 1 for k in kept) < 16
    np.testing.assert_allclose(frequencies(config), expected, rtol=1e-12)


def test_yarns_ramp_may_end_between_two_indices() -> None:
    rounded = RotaryConfig(dim=32, scaling="yarn", factor=8.0, original_context=512)
    exact = RotaryConfig(dim=32, scaling="yarn", factor=8.0, original_context=512, truncate=False)
    assert np.abs(frequencies(rounded) / frequencies(exact) - 1).max() > 0.01


def test_the_attention_factor_multiplies_cosines_and_sines_once() -> None:
    plain = _angles(RotaryConfig(dim=8), [[3, 70]], "float64")
    config = RotaryConfig(dim=8, attention_factor=1.3)
    scaled = _angles(config, [[3, 70]], "float64")
    for got, expected in zip(scaled, plain, strict=True):
        np.testing.assert_allclose(got, 1.3 * expected, rtol=1e-15)


_LONG = RotaryConfig(
    dim=4, scaling="longrope", short_factors=(1.0, 1.5), long_factors=(3.0, 5.0), original_context=8
)


def test_a_row_is_long_by_its_own_length_and_not_by_its_neighbours() -> None:
    both = _angles(_LONG, [[0, 5, 7], [0, 5, 8]], "float64")
    plain = np.array([1.0, 0.01])
    for row, factors in enumerate(([1.0, 1.5], [3.0, 5.0])):
        angles = np.array([0, 5, 7 + row])[:, None] * (plain / factors)
        np.testing.assert_allclose(both[0][row], np.cos(angles), rtol=1e-14)
        np.testing.assert_allclose(both[1][row], np.sin(angles), rtol=1e-14, atol=1e-18)


@pytest.mark.parametrize("last", [7, 8, 40])
def test_dynamic_theta_grows_beyond_the_original_context(last: int) -> None:
    config = RotaryConfig(dim=8, scaling="dynamic", factor=2.0, original_context=8)
    length = max(last + 1, 8)
    theta = 1e4 * (2 * length / 8 - 1) ** (8 / 6)
    angles = np.array([[0, 3, last]])[..., None] * theta ** (-np.arange(0, 8, 2) / 8)
    cos, _ = _angles(config, [[0, 3, last]], "float64")
    np.testing.assert_allclose(cos, np.cos(angles), rtol=1e-12)


def test_what_is_still_does_not_turn() -> None:
    config = RotaryConfig(dim=8, still=3)
    cos, sin = _angles(config, [[9]], "float64")
    np.testing.assert_array_equal(cos[0, 0, 1:], 1.0)
    np.testing.assert_array_equal(sin[0, 0, 1:], 0.0)
    assert sin[0, 0, 0] == pytest.approx(math.sin(9))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scaling": "longrope", "short_factors": (1.0,)}, "short_factors: expected 2 positive"),
        ({"long_factors": (1.0, 1.0)}, "long_factors: expected 0 positive"),
        ({"attention_factor": 0.0}, "attention_factor: expected a positive number"),
        ({"still": 3}, "still: expected 0 to 2"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        RotaryConfig(dim=4, **options)
