"""A mixture of experts beside the same written with loops, in every way of choosing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.components.layer import declare_mlp, mlp
from lmkernel.config import ExpertsConfig, MlpConfig
from lmkernel.contract.trees import tree_map
from lmkernel.errors import ConfigError
from lmkernel.parameters import flatten, nest

_WIDTH = 6
_PLAIN: dict[str, Any] = {"count": 8, "chosen": 3, "hidden": 5}
WAYS: dict[str, dict[str, Any]] = {
    "softmax, renormalised": {},
    "softmax, as it is": {"renormalize": False},
    "sigmoid": {"scoring": "sigmoid"},
    "scaled": {"scale": 2.5},
    "a bias for the choice": {"scoring": "sigmoid", "choice_bias": True},
    "groups by their best": {"groups": 4, "chosen_groups": 2},
    "groups by their two best": {"groups": 2, "chosen_groups": 1, "group_score": "top_two"},
    "a shared expert": {"shared": 4},
    "a shared expert with a gate": {"shared": 4, "shared_gate": True},
    "a router with a bias": {"router_bias": True},
}


def _silu(x: Any) -> Any:
    return x / (1 + np.exp(-x))


def _network(x: Any, p: dict[str, Any], at: str, expert: Any = ...) -> Any:
    gate, up, down = (p[f"{at}{name}.weight"][expert] for name in ("gate", "up", "down"))
    return down @ (_silu(gate @ x) * (up @ x))


def _by_loops(x: Any, p: dict[str, Any], c: ExpertsConfig) -> Any:
    logits = p["router.weight"] @ x + p.get("router.bias", 0)
    scores = np.exp(logits) / np.exp(logits).sum()
    if c.scoring == "sigmoid":
        scores = 1 / (1 + np.exp(-logits))
    choice = scores + p.get("router.choice_bias", 0)
    groups = choice.reshape(c.groups, -1)
    best = 1 if c.group_score == "max" else 2
    merit = [sum(sorted(group)[-best:]) for group in groups]
    allowed = {
        g for g in range(c.groups) if sorted(merit).index(merit[g]) >= c.groups - c.chosen_groups
    }
    size = c.count // c.groups
    open_ = [e for e in range(c.count) if e // size in allowed]
    chosen = sorted(open_, key=lambda e: -choice[e])[: c.chosen]
    weights = scores[chosen] / (scores[chosen].sum() if c.renormalize else 1) * c.scale
    y = sum(w * _network(x, p, "experts.", e) for w, e in zip(weights, chosen, strict=True))
    if c.shared:
        gate = 1.0
        if c.shared_gate:
            gate = 1 / (1 + np.exp(-p["shared_gate.weight"] @ x))
        y = y + gate * _network(x, p, "shared.")
    return y


@pytest.mark.parametrize("way", WAYS)
def test_it_is_what_loops_compute(way: str) -> None:
    config = ExpertsConfig(**_PLAIN, **WAYS[way])
    network = MlpConfig(hidden=5, experts=config)
    declared = declare_mlp(_WIDTH, network)
    generator = np.random.default_rng(3)
    values = {n: generator.normal(size=p.shape) for n, p in sorted(flatten(declared).items())}
    x, backend = generator.normal(size=(2, 7, _WIDTH)), load_backend()
    with backend:
        ops = backend.ops
        params = tree_map(lambda v: ops.asarray(v, "float64"), nest(declared, values))
        got = ops.to_numpy(mlp(ops, ops.asarray(x, "float64"), params, network))
    expected = np.array([[_by_loops(v, values, config) for v in row] for row in x])
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_the_choice_has_no_gradient_and_its_scores_have() -> None:
    network = MlpConfig(hidden=5, experts=ExpertsConfig(**_PLAIN, choice_bias=True))
    declared, backend = declare_mlp(_WIDTH, network), load_backend()
    generator = np.random.default_rng(5)
    values = {n: generator.normal(size=p.shape) for n, p in flatten(declared).items()}
    x = generator.normal(size=(4, _WIDTH))
    with backend:
        ops = backend.ops
        params = tree_map(lambda v: ops.asarray(v, "float64"), nest(declared, values))

        def loss(p: Any) -> Any:
            y = mlp(ops, ops.asarray(x, "float64"), p, network)
            return ops.sum(ops.sum(y * y, 0), 0)

        _, gradients = ops.value_and_grad(loss)(params)
    assert not np.any(gradients["router"]["choice_bias"])
    assert np.any(gradients["router"]["weight"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": 3}, "groups: expected a divisor of count=8"),
        ({"groups": 4, "chosen_groups": 1}, "chosen: expected at most 2"),
        ({"chosen_groups": 2}, "chosen_groups: expected at most groups=1"),
        ({"groups": 8, "chosen_groups": 8, "group_score": "top_two"}, "two experts a group"),
        ({"shared_gate": True}, "shared_gate: expected a shared expert"),
        ({"scoring": "tanh"}, "scoring: expected one of softmax, sigmoid"),
    ],
)
def test_what_cannot_be_chosen_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ExpertsConfig(**{**_PLAIN, **changes})
