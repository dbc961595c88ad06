"""The loss of CTC, value and gradient, beside torch's in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lmkernel.backend import load_backend
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import LossConfig

BATCH, STEPS, CLASSES, BLANK = 5, 13, 7, 2
LENGTHS = np.array([13, 9, 13, 5, 3])
LABELS = np.array(
    [[1, 3, 3, 0, 4], [5, 5, 5, -1, -1], [6, -1, -1, -1, -1], [0, 1, 0, 1, 3], [4, 4, -1, -1, -1]]
)
"""Some repeat themselves, and two rows have just as many steps as theirs need."""
DRAWN = np.random.default_rng(41).normal(size=(BATCH, STEPS, CLASSES)) * 2
PADDING = np.arange(STEPS) >= LENGTHS[:, None]


def by_torch(dtype: torch.dtype) -> tuple[np.ndarray, np.ndarray]:
    """The sum, and its gradient with regard to the logits."""
    logits = torch.tensor(DRAWN, dtype=dtype, requires_grad=True)
    sizes = torch.tensor((LABELS >= 0).sum(1))
    total = torch.nn.functional.ctc_loss(
        logits.log_softmax(-1).transpose(0, 1),
        torch.tensor(np.maximum(LABELS, 0)),
        torch.tensor(LENGTHS),
        sizes,
        blank=BLANK,
        reduction="sum",
    )
    total.backward()
    assert logits.grad is not None
    return total.detach().numpy(), logits.grad.numpy()


@pytest.mark.parametrize("backend", ["numpy", "torch", "tensorflow", "jax", "mlx"])
def test_loss_and_gradient_equal(backend: str) -> None:
    loaded = load_backend(backend)
    ops = loaded.ops
    loss = ComponentFactory(loaded).create("loss", LossConfig(kind="ctc", blank=BLANK))
    # a step that is none says blank for certain, as a model's head has it
    silent = np.where(np.arange(CLASSES) == BLANK, 0.0, -1e20)
    with loaded.scope():
        padding = ops.asarray(PADDING[..., None].astype("f4"), "float32") > ops.full(
            (), 0.0, "float32"
        )
        targets = ops.asarray(LABELS.astype("i4"), "int32")
        certain = ops.asarray(silent[None, None], "float32")

        def total(x: object) -> object:
            return loss(ops.where(padding, certain, x), targets)[0]

        count = ops.to_numpy(loss(ops.asarray(DRAWN, "float32"), targets)[1])
        got, slope = ops.value_and_grad(total)(ops.asarray(DRAWN, "float32"))
        values = ops.to_numpy(got), ops.to_numpy(slope)
    assert count == (LABELS >= 0).sum()
    for what, ours, exact, honest in zip(
        ("loss", "gradient"), values, by_torch(torch.float64), by_torch(torch.float32), strict=True
    ):
        budget = 4 * np.abs(honest - exact).max() + 4 * np.spacing(np.float32(np.abs(exact).max()))
        error = np.abs(ours - exact).max()
        assert error <= budget, (
            f"{what}: expected an error of {budget:.3g} at most, got {error:.3g}"
        )
