"""The focal loss, by name, on the backend that LMKERNEL_BACKEND selects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel.backend import Backend, load_backend
from lmkernel.errors import ConfigError
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import LossConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

LOGITS = np.random.Generator(np.random.Philox(11)).normal(size=(2, 3, 5)) * 2
TARGETS = np.array([[4, 0, -1], [2, 2, 1]])


@pytest.fixture
def backend() -> Iterator[Backend]:
    loaded = load_backend()
    with loaded.scope():
        yield loaded


def loss_of(
    backend: Backend, logits: Any, targets: Any, kind: str = "focal", **options: float
) -> tuple[float, float, NDArray[np.float64]]:
    """Total, count, and the gradient of the total."""
    ops = backend.ops
    loss = ComponentFactory(backend).create("loss", LossConfig(kind=kind, options=options))
    classes, outputs = ops.asarray(targets, "int32"), ops.asarray(logits, "float64")
    total, gradient = ops.value_and_grad(lambda x: loss(x, classes)[0])(outputs)
    return float(total), float(loss(outputs, classes)[1]), ops.to_numpy(gradient)


def definition(gamma: float) -> tuple[float, NDArray[np.float64]]:
    """Σ -(1 - p)^γ·log p, and its gradient over logits z_j: dFL/dp · p·([j = t] - p_j)."""
    total, gradient = 0.0, np.zeros_like(LOGITS)
    for place, target in np.ndenumerate(TARGETS):
        if target < 0:
            continue
        powers = np.exp(LOGITS[place])
        shares = powers / powers.sum()
        p = shares[target]
        total -= (1 - p) ** gamma * np.log(p)
        slope = gamma * (1 - p) ** (gamma - 1) * np.log(p) - (1 - p) ** gamma / p
        gradient[place] = slope * p * (np.eye(5)[target] - shares)
    return total, gradient


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_value_and_gradient_are_those_of_the_closed_form(backend: Backend, gamma: float) -> None:
    total, count, gradient = loss_of(backend, LOGITS, TARGETS, gamma=gamma)
    expected, slope = definition(gamma)
    np.testing.assert_allclose(total, expected, rtol=1e-12)
    np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-13)
    assert count == 5


def test_gamma_is_2_by_default(backend: Backend) -> None:
    assert loss_of(backend, LOGITS, TARGETS)[0] == loss_of(backend, LOGITS, TARGETS, gamma=2.0)[0]


@pytest.mark.parametrize("gamma", [0.0, 1e-13])
def test_no_focus_is_cross_entropy(backend: Backend, gamma: float) -> None:
    total, count, gradient = loss_of(backend, LOGITS, TARGETS, gamma=gamma)
    expected = loss_of(backend, LOGITS, TARGETS, "cross_entropy")
    np.testing.assert_allclose((total, count), expected[:2], rtol=1e-11)
    np.testing.assert_allclose(gradient, expected[2], rtol=1e-10, atol=1e-13)


def test_an_easy_target_keeps_its_digits(backend: Backend) -> None:
    """1 - p is e^-15 / (1 + e^-15), and a large gamma shows what it has lost."""
    total = loss_of(backend, [[15.0, 0.0]], [0], gamma=40.0)[0]
    rest = np.exp(-15) / (1 + np.exp(-15))
    np.testing.assert_allclose(total, rest**40 * np.log1p(np.exp(-15)), rtol=1e-9)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_extremes_stay_finite(backend: Backend, gamma: float) -> None:
    total, _, gradient = loss_of(backend, [[800.0, -800.0]] * 2, [0, 1], gamma=gamma)
    assert total == pytest.approx(1600, rel=1e-12)
    np.testing.assert_allclose(gradient, [[0, 0], [1, -1]], atol=1e-12)


@pytest.mark.parametrize("options", [{"gamma": -1.0}, {"gama": 2.0}])
def test_other_options_are_refused(backend: Backend, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"LossConfig\.options: expected nothing but a gamma"):
        ComponentFactory(backend).create("loss", LossConfig(kind="focal", options=options))
