"""CTC beside the sum over all paths, rows that cannot be said, and padding."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.components.ctc import ctc_losses
from lmkernel.config import EmbeddingConfig, HeadConfig
from lmkernel.errors import ConfigError
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import LossConfig
from lmkernel.model.head import head

BACKEND = load_backend("numpy")
OPS = BACKEND.ops


def by_paths(logits: np.ndarray, labels: list[int], blank: int) -> float:
    """-log of the sum of the probabilities of all paths that say the labels."""
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    total = 0.0
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        if [k for k, _ in itertools.groupby(path) if k != blank] == labels:
            total += math.prod(row[k] for row, k in zip(shares, path, strict=True))
    return -math.log(total)


@pytest.mark.parametrize("labels", [[0], [2, 0], [2, 2], [0, 2, 0], [0, 0, 2]])
def test_a_loss_is_the_sum_over_all_paths(labels: list[int]) -> None:
    logits = np.random.default_rng(3).normal(size=(5, 3)) * 2
    with BACKEND:
        targets = OPS.asarray([[*labels, -1]], "int32")
        got = OPS.to_numpy(ctc_losses(OPS, OPS.asarray(logits[None], "float64"), targets, 1))
    np.testing.assert_allclose(got, [by_paths(logits, labels, 1)], rtol=1e-13)


def totals(targets: list[list[int]], *, zero: bool = False) -> tuple[float, float, np.ndarray]:
    """Total and count of two rows of three steps, and the gradient of the total."""
    config = LossConfig(kind="ctc", blank=0, zero_infinity=zero)
    loss = ComponentFactory(BACKEND).create("loss", config)
    with BACKEND:
        x = OPS.asarray(np.random.default_rng(5).normal(size=(2, 3, 4)), "float64")
        t = OPS.asarray(targets, "int32")
        (total, count), slope = OPS.value_and_grad(lambda x: loss(x, t), aux=True)(x)
        return float(total), float(count), np.asarray(OPS.to_numpy(slope))


def test_what_cannot_be_said_costs_infinitely_much_and_has_no_gradient() -> None:
    total, count, slope = totals([[1, 1, 2], [3, -1, -1]])  # three steps, and a blank is needed
    assert (total, count) == (math.inf, 4)
    assert not slope[0].any()
    assert np.isfinite(slope).all()
    assert slope[1].any()


def test_with_zero_infinity_it_counts_for_nothing() -> None:
    total, count, slope = totals([[1, 1, 2], [3, -1, -1]], zero=True)
    assert count == 1
    assert 0 < total < 10
    assert not slope[0].any()


def test_a_row_without_labels_is_ignored() -> None:
    one = totals([[-1, -1, -1], [3, -1, -1]])
    assert one[1] == 1
    assert not one[2][0].any()


def test_logits_that_are_infinite_are_impossible_letters() -> None:
    logits = np.zeros((1, 2, 3))
    logits[:, :, 2] = -np.inf
    with BACKEND, np.errstate(invalid="ignore"):
        x = OPS.asarray(logits, "float64")
        said, never = (
            OPS.to_numpy(ctc_losses(OPS, x, OPS.asarray([[k]], "int32"), 0)) for k in (1, 2)
        )
    np.testing.assert_allclose(said, math.log(4 / 3))
    assert never > 1e19


def test_padding_says_blank_for_certain() -> None:
    config = HeadConfig(width=2, size=3, blank=2)
    with BACKEND:
        x = OPS.asarray(np.ones((1, 3, 2)), "float32")
        weight = OPS.asarray(np.ones((3, 2)), "float32")
        positions = OPS.asarray([[0, 1, -1]], "int32")
        got = OPS.to_numpy(head(OPS, x, {}, config, weight, positions=positions))
    np.testing.assert_array_equal(got[0, :2], np.full((2, 3), 2.0))
    assert got[0, 2].argmax() == 2
    assert got[0, 2, 2] == 0
    assert (got[0, 2, :2] < -1e19).all()


@pytest.mark.parametrize("blank", [-1, 3])
def test_a_blank_that_is_no_output_is_refused(blank: int) -> None:
    with pytest.raises(ConfigError, match="blank"):
        HeadConfig(width=2, size=3, blank=blank)


def test_samples_need_their_configuration() -> None:
    with pytest.raises(ConfigError, match="waves"):
        EmbeddingConfig(kind="waves", width=8)
