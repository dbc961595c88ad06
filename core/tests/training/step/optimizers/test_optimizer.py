from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from optimizing import OPS, REGISTRY, declared, made, run

from lmkernel.errors import UnknownNameError
from lmkernel.plugins import OptimizerSpec
from lmkernel.training.config import OptimizerConfig
from lmkernel.training.step.optimizers import Optimizer, build_optimizer, usual_config

KINDS = ("sgd", "adam", "adamw", "adafactor", "lion", "muon")
FACTORY = SimpleNamespace(ops=OPS, registry=REGISTRY)


def test_every_kind_is_registered() -> None:
    assert tuple(REGISTRY.all(OptimizerSpec)) == KINDS
    assert REGISTRY.problems == []


@pytest.mark.parametrize("kind", KINDS)
def test_usual_settings_build(kind: str) -> None:
    assert isinstance(build_optimizer(FACTORY, usual_config(kind), {}), Optimizer)  # type: ignore[arg-type]  # what it needs of a factory


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("sgd", {"momentum": 0.9}),
        ("adam", {}),
        ("adamw", {"weight_decay": 0.01}),
        ("adafactor", {"eps": 1e-7}),
        ("lion", {"beta2": 0.99}),
        ("muon", {"momentum": 0.95, "nesterov": True, "weight_decay": 0.1}),
    ],
)
def test_usual_settings_are_those_of_the_kind(kind: str, values: dict[str, Any]) -> None:
    assert usual_config(kind) == OptimizerConfig(kind=kind, **values)


def test_changes_take_the_place_of_usual_settings() -> None:
    config = usual_config("muon", momentum=0.5, eps=1e-6)
    assert (config.momentum, config.eps, config.weight_decay) == (0.5, 1e-6, 0.1)


def test_kind_that_says_nothing_has_the_defaults() -> None:
    assert dict(Optimizer.usual()) == {}


def test_unknown_kind_has_no_usual_settings() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown optimizer 'adanw'"):
        usual_config("adanw")


def test_unknown_kind_is_refused_with_the_closest_name() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown optimizer 'adanw'\. Did you mean 'adamw'"):
        build_optimizer(FACTORY, OptimizerConfig(kind="adanw"), {})  # type: ignore[arg-type]  # the same


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_keeps_its_structure(kind: str) -> None:
    optimizer = made(usual_config(kind), declared(a_weight=(2, 3), b=(3,)))
    start = {"a.weight": [[1.0, 2, 3], [4, 5, 6]], "b": [1.0, 2, 3]}
    _, before = run(optimizer, start, [])
    _, after = run(optimizer, start, [start])
    shapes = [
        {slot: {name: x.shape for name, x in own.items()} for slot, own in state.items()}
        for state in (before, after)
    ]
    assert shapes[0] == shapes[1]
    assert all(own for own in before.values())
