"""Whatever an optimizer of a plugin does is reported by its name; one that is right is the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from optimizing import OPS, declared

from lmkernel.contract.version import CONTRACT_VERSION
from lmkernel.errors import ConfigError, PluginError
from lmkernel.plugins import OptimizerSpec, Registry, hookimpl
from lmkernel.training import plugin
from lmkernel.training.step.optimizers import Optimizer, build_optimizer, usual_config
from lmkernel.training.step.optimizers.adam import AdamW
from lmkernel.training.step.optimizers.guarded import GuardedOptimizer

if TYPE_CHECKING:
    from collections.abc import Iterator

PARAMS = {"a": np.ones((2, 3), np.float32), "b": np.ones(4, np.float32)}


class Odd(AdamW):
    """An AdamW, one method of which a test replaces."""


class Plugin:
    @hookimpl
    def lmkernel_register_optimizers(self) -> list[OptimizerSpec]:
        return [
            OptimizerSpec(contract=CONTRACT_VERSION, name="odd", load=f"{__name__}:Odd"),
            OptimizerSpec(contract=CONTRACT_VERSION, name="none", load="builtins:dict"),
        ]


@pytest.fixture(autouse=True)
def registry() -> Iterator[Registry]:
    found = Registry({"odd": Plugin(), "training": plugin})
    with found.use():
        yield found


def built(registry: Registry, kind: str = "odd") -> Optimizer:
    factory: Any = SimpleNamespace(ops=OPS, registry=registry)
    return build_optimizer(factory, usual_config(kind), declared(a=(2, 3), b=(4,)))


def updated(optimizer: Optimizer) -> Any:
    scalars = {**optimizer.scalars(1, 0.1), "grad_scale": 1.0}
    arrays = {name: np.float32(value) for name, value in scalars.items()}
    grads = {name: np.full_like(value, 0.5) for name, value in PARAMS.items()}
    values = {name: value.copy() for name, value in PARAMS.items()}
    return optimizer.update(values, grads, optimizer.init(values), arrays)


def asked(optimizer: Optimizer, method: str) -> Any:
    if method == "update":
        return updated(optimizer)
    return optimizer.scalars(1, 0.1) if method == "scalars" else optimizer.init(PARAMS)


def test_one_that_is_right_gives_the_same(registry: Registry) -> None:
    guarded, own = built(registry), built(registry, "adamw")
    assert isinstance(guarded, GuardedOptimizer)
    assert not isinstance(own, GuardedOptimizer)
    assert guarded.elementwise is own.elementwise is True
    (params, state), (ours, our_state) = updated(guarded), updated(own)
    for name, value in ours.items():
        np.testing.assert_array_equal(params[name], value, err_msg=name)
    assert state.keys() == our_state.keys()


@pytest.mark.parametrize("error", [SystemExit(0), KeyError("x")], ids=["exit", "key"])
@pytest.mark.parametrize("method", ["init", "scalars", "update"])
def test_what_a_method_raises_is_named(
    method: str, error: BaseException, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(*_: Any) -> Any:
        raise error

    made = built(registry)
    monkeypatch.setattr(Odd, method, raising)
    said = f"^optimizer 'odd', {method}: {type(error).__name__}: "
    with pytest.raises(PluginError, match=said):
        asked(made, method)


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        ("init", None, "expected Mapping, got NoneType"),
        ("scalars", [1.0], "expected dict, got list"),
        ("scalars", {}, "expected 'rate' among them, got none"),
        ("scalars", {"rate": float("nan")}, "rate: expected a finite number, got nan"),
        ("scalars", {"rate": 0.1, "x": "y"}, "x: expected a finite number, got 'y'"),
        ("update", None, "expected tuple, got NoneType"),
        ("update", (PARAMS,), "expected parameters and a state, got others"),
        ("update", ({"a": PARAMS["a"]}, {}), r"b: expected the shape \(4,\), got None"),
        (
            "update",
            ({**PARAMS, "b": PARAMS["a"]}, {}),
            r"b: expected the shape \(4,\), got \(2, 3\)",
        ),
        ("update", (PARAMS, {}), r"state: \S+a: expected the shape \(2, 3\), got None"),
        (
            "update",
            ({**PARAMS, "a": PARAMS["a"].astype("float64")}, {}),
            "a: expected the dtype float32, got float64",
        ),
        ("update", ({**PARAMS, "c": PARAMS["a"]}, {}), r"c: expected the shape None, got \(2, 3\)"),
    ],
)
def test_what_a_method_gives_is_checked(
    method: str, given: Any, said: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = built(registry)
    monkeypatch.setattr(Odd, method, lambda *_: given)
    with pytest.raises(PluginError, match=f"^optimizer 'odd', {method}: {said}"):
        asked(made, method)


def test_what_builds_another_thing_is_named(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Odd, "build", classmethod(lambda *_: 3))
    with pytest.raises(PluginError, match=r"^optimizer 'odd', build: expected Optimizer, got int"):
        built(registry)


def test_a_refusal_is_an_answer(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: Any) -> Any:
        raise ConfigError("no such thing")

    monkeypatch.setattr(Odd, "build", classmethod(refusing))
    with pytest.raises(ConfigError, match=r"^no such thing$"):
        built(registry)


def test_what_is_registered_and_is_none_is_named(registry: Registry) -> None:
    said = "^optimizer 'none': expected builtins:dict to be an Optimizer, got <class 'dict'>"
    with pytest.raises(PluginError, match=said):
        built(registry, "none")
