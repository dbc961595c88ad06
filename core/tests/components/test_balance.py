"""The loss that balances experts, beside the same written with loops, and where it is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.components.balance import balance_loss
from lmkernel.config import (
    AttentionConfig,
    ExpertsConfig,
    LayerConfig,
    MlpConfig,
    TransformerConfig,
)
from lmkernel.errors import ConfigError

POSITIONS = np.array([[0, 1, 2], [-1, 0, 1]], np.int32)
EXPERTS, CHOSEN = 5, 2


def by_loops(layers: np.ndarray) -> float:
    """The loss of logits ``(layers, batch, time, experts)``, position by position."""
    choices, probabilities, count = np.zeros(EXPERTS), np.zeros(EXPERTS), 0
    for logits in layers:
        for row, place in zip(*np.nonzero(POSITIONS >= 0), strict=True):
            scores = np.exp(logits[row, place]) / np.exp(logits[row, place]).sum()
            choices[np.argsort(-scores)[:CHOSEN]] += 1
            probabilities += scores
            count += 1
    return float(EXPERTS * (choices / count) @ (probabilities / count))


def of_ours(layers: np.ndarray, positions: np.ndarray = POSITIONS) -> float:
    """The same by the component, in float64."""
    with load_backend() as backend:
        ops = backend.ops
        routed = [ops.asarray(x, "float64") for x in layers]
        loss = balance_loss(ops, routed, ops.asarray(positions, "int32"), CHOSEN)
        return float(ops.to_numpy(loss))


def test_it_is_what_loops_compute() -> None:
    layers = np.random.default_rng(3).normal(size=(3, *POSITIONS.shape, EXPERTS))
    assert of_ours(layers) == pytest.approx(by_loops(layers), rel=1e-14)


def test_it_is_the_number_of_choices_where_all_are_alike() -> None:
    alike = np.zeros((1, *POSITIONS.shape, EXPERTS))
    assert of_ours(alike) == pytest.approx(CHOSEN, rel=1e-14)


def test_padding_alone_is_balanced() -> None:
    layers = np.ones((2, *POSITIONS.shape, EXPERTS))
    assert of_ours(layers, np.full_like(POSITIONS, -1)) == 0


def test_layers_of_other_experts_cannot_be_balanced_together() -> None:
    experts = ExpertsConfig(count=4, chosen=2, hidden=3, balance=0.1)
    mlp = MlpConfig(hidden=3, experts=experts)
    more = replace(mlp, experts=replace(experts, count=6))
    attention = AttentionConfig(width=4, heads=1, kv_heads=1, head_dim=4)
    layers = (LayerConfig(), LayerConfig(mlp=more))
    with pytest.raises(ConfigError, match="different: expected as many experts in each layer"):
        TransformerConfig(width=4, layers=2, attention=attention, mlp=mlp, different=layers)


def test_a_weight_below_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="balance: expected 0 or more"):
        ExpertsConfig(count=4, chosen=2, hidden=3, balance=-0.1)
