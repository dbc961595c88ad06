"""Weights start as the configuration asks, and otherwise as each component does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small import small_config

from lmkernel.backend import load_backend
from lmkernel.config import InitConfig
from lmkernel.model import Model

LAYER = "decoder.layers.1."
BACK = (LAYER + "attention.o.weight", LAYER + "mlp.down.weight")
OTHERS = ("embedding.tokens.weight", LAYER + "attention.q.weight", LAYER + "mlp.up.weight")


def initial(init: InitConfig | None) -> dict[str, np.ndarray]:
    config = replace(small_config(hidden_size=48, intermediate_size=96), init=init)
    return Model(load_backend(), config).initial(3)


@pytest.mark.parametrize("residual", [False, True])
def test_scale_is_that_of_the_configuration(*, residual: bool) -> None:
    values = initial(InitConfig(scale=0.3, residual=residual))
    for name in OTHERS:
        assert values[name].std() == pytest.approx(0.3, rel=0.05), name
    for name in BACK:
        expected = 0.15 if residual else 0.3  # two layers, so four sums
        assert values[name].std() == pytest.approx(expected, rel=0.05), name


def test_norms_keep_their_start() -> None:
    assert (initial(InitConfig(scale=0.3))[LAYER + "attention_norm.weight"] == 1).all()


def test_without_a_scale_each_component_has_its_own() -> None:
    weight = initial(None)[LAYER + "mlp.up.weight"]
    assert np.abs(weight).max() <= np.sqrt(6 / sum(weight.shape))
