"""Losses of spans and of scores, beside plain formulas."""

from __future__ import annotations

import numpy as np

from lmkernel.backend import load_backend
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import LossConfig


def test_a_loss_of_spans_is_that_of_two_softmaxes_where_they_may_be() -> None:
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(3, 5, 2))
    targets = np.full((3, 5, 2), -1.0)
    targets[0, :4], targets[1, 1:4] = 0, 0
    targets[0, 1, 0] = targets[0, 3, 1] = targets[1, 2, 0] = targets[1, 2, 1] = 1
    backend = load_backend("numpy")
    loss, ops = (
        ComponentFactory(backend).create("loss", LossConfig(kind="spans")),
        backend.ops,
    )

    def total(y: object) -> object:
        return loss(y, ops.asarray(targets, "float64"))[0]

    with backend.scope():
        y = ops.asarray(outputs, "float64")
        found, gradient = ops.value_and_grad(total)(y)
        count = float(loss(y, ops.asarray(targets, "float64"))[1])
    expected, slope = 0.0, np.zeros_like(outputs)
    for row, side in ((0, 0), (0, 1), (1, 0), (1, 1)):
        open_ = targets[row, :, side] >= 0
        shares = np.where(open_, np.exp(outputs[row, :, side]), 0)
        shares /= shares.sum()
        right = targets[row, :, side] == 1
        expected -= np.log(shares[right][0])
        slope[row, :, side] = shares - right
    assert count == 4
    np.testing.assert_allclose(float(found), expected, rtol=1e-12)
    np.testing.assert_allclose(ops.to_numpy(gradient), slope, atol=1e-12)


def test_a_loss_of_one_output_is_the_negative_log_likelihood_of_a_sigmoid() -> None:
    outputs = np.array([[-900.0], [0.3], [2.0], [900.0]])
    targets = np.array([[0.0], [0.25], [-1.0], [1.0]])
    backend = load_backend("numpy")
    loss = ComponentFactory(backend).create("loss", LossConfig(kind="binary_cross_entropy"))
    ops = backend.ops

    def total(y: object) -> object:
        return loss(y, ops.asarray(targets, "float64"))[0]

    with backend.scope():
        found, gradient = ops.value_and_grad(total)(ops.asarray(outputs, "float64"))
        count = float(loss(ops.asarray(outputs, "float64"), ops.asarray(targets, "float64"))[1])
    share = 1 / (1 + np.exp(-0.3))
    expected = -(0.25 * np.log(share) + 0.75 * np.log(1 - share))
    assert count == 3
    np.testing.assert_allclose(float(found), expected, rtol=1e-12)
    np.testing.assert_allclose(ops.to_numpy(gradient)[:, 0], [0, share - 0.25, 0, 0], atol=1e-12)
