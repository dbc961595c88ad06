from __future__ import annotations

import pytest

from lmkernel.backend import load_backend
from lmkernel.interfaces import Init, Param
from lmkernel.training.config import OptimizerConfig
from lmkernel.training.step.optimizers import decayed
from lmkernel.training.step.optimizers.momentum import SGD

ONES = Init("ones")
OPS = load_backend("numpy").ops


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("decoder.layers.0.mlp.up.weight", (8, 4), True),
        ("embedding.tokens.weight", (16, 4), True),
        ("decoder.layers.0.attention.q.lora_a", (2, 4), True),
        ("decoder.norm.weight", (4,), False),
        ("decoder.layers.0.mlp.up.bias", (8,), False),
        ("decoder.layers.0.mlp.bias", (2, 8), False),
        ("decoder.layers.0.mlp.experts.down.bias", (4, 8), False),
        ("decoder.layers.0.mlp.experts.down.weight", (4, 8, 6), True),
        ("scale", (), False),
    ],
)
def test_weights_decay_and_biases_and_norms_do_not(
    name: str, shape: tuple[int, ...], expected: bool
) -> None:
    axes = tuple("embed" for _ in shape)
    assert decayed(name, Param(shape, ONES, axes)) is expected


def test_decays_of_a_model() -> None:
    declared = {
        "a.weight": Param((2, 3), ONES, ("x", "y")),
        "a.bias": Param((2,), ONES, ("x",)),
    }
    optimizer = SGD.build(OPS, OptimizerConfig(kind="sgd", weight_decay=0.5), declared)
    params = {name: OPS.full(p.shape, 1.0, "float32") for name, p in declared.items()}
    still = {name: OPS.full(p.shape, 0.0, "float32") for name, p in declared.items()}
    scalars = {name: OPS.full((), 0.5, "float32") for name in ("rate", "grad_scale")}
    new, _ = optimizer.update(params, still, optimizer.init(params), scalars)
    assert (OPS.to_numpy(new["a.weight"]) == 0.75).all()
    assert (OPS.to_numpy(new["a.bias"]) == 1.0).all()
