from __future__ import annotations

from types import SimpleNamespace

import pytest
from optimizing import OPS, REGISTRY, declared, made, run

from lmkernel.errors import UnknownNameError
from lmkernel.plugins import OptimizerSpec
from lmkernel.training.config import OptimizerConfig
from lmkernel.training.step.optimizers import USUAL, Optimizer, build_optimizer

KINDS = ("sgd", "adam", "adamw", "adafactor", "lion", "muon")
FACTORY = SimpleNamespace(ops=OPS, registry=REGISTRY)


def test_every_kind_is_registered_and_has_its_usual_settings() -> None:
    assert tuple(REGISTRY.all(OptimizerSpec)) == KINDS == tuple(USUAL)
    assert REGISTRY.problems == []


@pytest.mark.parametrize("kind", KINDS)
def test_usual_settings_build(kind: str) -> None:
    config = OptimizerConfig(kind=kind, **USUAL[kind])
    assert isinstance(build_optimizer(FACTORY, config, {}), Optimizer)  # type: ignore[arg-type]  # what it needs of a factory


def test_unknown_kind_is_refused_with_the_closest_name() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown optimizer 'adanw'\. Did you mean 'adamw'"):
        build_optimizer(FACTORY, OptimizerConfig(kind="adanw"), {})  # type: ignore[arg-type]  # the same


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_keeps_its_structure(kind: str) -> None:
    optimizer = made(OptimizerConfig(kind=kind, **USUAL[kind]), declared(a_weight=(2, 3), b=(3,)))
    start = {"a.weight": [[1.0, 2, 3], [4, 5, 6]], "b": [1.0, 2, 3]}
    _, before = run(optimizer, start, [])
    _, after = run(optimizer, start, [start])
    shapes = [
        {slot: {name: x.shape for name, x in own.items()} for slot, own in state.items()}
        for state in (before, after)
    ]
    assert shapes[0] == shapes[1]
    assert all(own for own in before.values())
