"""The loss of spans is that of two softmaxes over the positions where they may be."""

from __future__ import annotations

import numpy as np

from lmkernel.backend import load_backend
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import LossConfig


def test_value_and_gradient() -> None:
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
