"""Learned biases by distance, layers that share weights, and rows that are pooled by their mean."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from encoder_kinds import ENCODERS

from lmkernel.backend import load_backend
from lmkernel.components.positions import relative_biases
from lmkernel.config import ModelConfig, RelativeConfig, TransformerConfig
from lmkernel.errors import ConfigError
from lmkernel.families.family import HfConfig, find_family
from lmkernel.inspection.run import activations
from lmkernel.model import Model
from lmkernel.model.head import mean_of_each_row
from lmkernel.parameters import flatten

BACKEND = load_backend("numpy")


def bucket(ahead: int, buckets: int, distance: int, *, causal: bool) -> int:
    """The formula of arXiv:1910.10683, §2.1, as T5's code has it, for one distance."""
    each = buckets if causal else buckets // 2
    start = each if ahead > 0 and not causal else 0
    far = max(-ahead, 0) if causal else abs(ahead)
    exact = each // 2
    if far < exact:
        return start + far
    growth = math.log(far / exact) / math.log(distance / exact) * (each - exact)
    return start + min(exact + int(growth + 1e-9), each - 1)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("buckets", "distance"), [(32, 128), (8, 20)])
def test_each_distance_has_its_bucket(buckets: int, distance: int, *, causal: bool) -> None:
    config = RelativeConfig(heads=2, buckets=buckets, distance=distance)
    queries, keys = np.array([[0, 200, 400]]), np.arange(401)[None]
    table = np.stack([np.arange(buckets), -np.arange(buckets)], 1).astype(np.float32)
    ops = BACKEND.ops
    with BACKEND:
        made = relative_biases(
            ops,
            *(ops.asarray(x, "int32") for x in (queries, keys)),
            ops.asarray(table, "float32"),
            config,
            causal=causal,
        )
        got = ops.to_numpy(made)
    expected = [
        [bucket(int(key - query), buckets, distance, causal=causal) for key in keys[0]]
        for query in queries[0]
    ]
    assert got.shape == (1, 2, 3, 401)
    np.testing.assert_array_equal(got[0, 0], expected)
    np.testing.assert_array_equal(got[0, 1], -got[0, 0])


def small(name: str) -> ModelConfig:
    _, model, options = ENCODERS[name]
    values = {**options, "architectures": [model]}
    return find_family(name.partition(" ")[0], name).read(HfConfig(values))


def evaluated(config: ModelConfig) -> dict[str, np.ndarray]:
    """The gradient of a sum of outputs, by parameter."""
    model, ops = Model(BACKEND, config), BACKEND.ops
    inputs = np.arange(12).reshape(2, 6) + 3
    with BACKEND:
        batch = ops.asarray(inputs, "int32")

        def total(params: Any) -> Any:
            out = model.forward(params, batch)
            return ops.sum(ops.reshape(out * out, (-1,)), 0)

        _, found = ops.value_and_grad(total)(model.place(model.initial(3)))
        return {name: ops.to_numpy(x) for name, x in flatten(found).items()}


@pytest.mark.parametrize("name", ["mpnet Model", "albert MaskedLM", "modernbert MaskedLM"])
def test_gradient_checkpointing_changes_no_gradient(name: str) -> None:
    config = small(name)
    assert isinstance(config.encoder, TransformerConfig)
    kept = replace(config, encoder=replace(config.encoder, remat=True))
    expected, got = evaluated(config), evaluated(kept)
    assert got.keys() == expected.keys()
    for key, gradient in expected.items():
        np.testing.assert_allclose(got[key], gradient, rtol=1e-5, atol=1e-6, err_msg=key)
        assert np.abs(gradient).max() > 0 or "segments" in key or key.endswith(".k.bias"), key


@pytest.mark.parametrize("name", ["mpnet Model", "albert MaskedLM", "modernbert MaskedLM"])
def test_layer_by_layer_is_the_whole(name: str) -> None:
    config = small(name)
    model = Model(BACKEND, config)
    with BACKEND:
        params = model.pack(model.initial(3))
        batch = BACKEND.ops.asarray(np.arange(7)[None] + 3, "int32")
        *_, last = activations(model, params, batch)
        whole = BACKEND.ops.to_numpy(model.forward(params, batch))
    np.testing.assert_allclose(BACKEND.ops.to_numpy(last.value), whole, rtol=1e-6, atol=1e-6)


def test_the_mean_is_of_what_is_real() -> None:
    ops, x = BACKEND.ops, np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    positions = np.array([[0, 1, -1], [-1, -1, -1]], np.int32)
    with BACKEND:
        got = ops.to_numpy(
            mean_of_each_row(ops, ops.asarray(x, "float32"), ops.asarray(positions, "int32"))
        )
    np.testing.assert_array_equal(got, [[1, 2], [0, 0]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sets": 3}, "TransformerConfig.sets: expected 0, or a divisor of layers=4"),
        ({"first_norm": False}, "TransformerConfig.first_norm: expected pre-norm of its own"),
    ],
)
def test_a_stack_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    stack = small("albert Model").encoder
    assert isinstance(stack, TransformerConfig)
    with pytest.raises(ConfigError, match=message):
        replace(stack, **changes)


@pytest.mark.parametrize(
    "changes", [{"buckets": 3}, {"distance": 32}, {"distance": 10**9}, {"heads": 0}]
)
def test_m6_biases_that_cannot_be_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"RelativeConfig.{next(iter(changes))}"):
        RelativeConfig(**{"heads": 2, **changes})
