from __future__ import annotations

import pytest

from lmkernel.interfaces import Init, Param
from lmkernel.training.step.optimizers import decayed
from lmkernel.training.step.optimizers.decay import decays

ONES = Init("ones")


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("decoder.layers.0.mlp.up.weight", (8, 4), True),
        ("embedding.tokens.weight", (16, 4), True),
        ("decoder.layers.0.attention.q.lora_a", (2, 4), True),
        ("decoder.norm.weight", (4,), False),
        ("decoder.layers.0.mlp.up.bias", (8,), False),
        ("decoder.layers.0.mlp.bias", (2, 8), False),
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
    assert decays(0.1, declared) == {"a.weight": 0.1, "a.bias": 0.0}
