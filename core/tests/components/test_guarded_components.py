"""Whatever a loss or a trainer of a plugin does when it is called is reported by its name."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.components.guarded import GuardedLoss, GuardedTrainer
from lmkernel.contract.version import CONTRACT_VERSION
from lmkernel.errors import InputError, PluginError, RunError
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import Callback, Loss, LossConfig, StepResult, Trainer, TrainingState
from lmkernel.plugins import ComponentSpec, Registry, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

STATE = TrainingState(0, {}, {}, {})
RESULT = StepResult(loss=1.0, count=1.0, norm=1.0, rate=0.1)


def odd(record: Any, **fields: object) -> Any:
    """A record with fields of other types."""
    return replace(record, **fields)


GIVEN: dict[str, Any] = {"start": STATE, "restore": STATE, "step": (STATE, RESULT), "fit": STATE}
GIVEN |= {"evaluate": {"loss": 1.0}, "predict": np.ones(2), "declare": {}}
GIVEN |= {name: {"w": np.ones(2)} for name in ("trained", "optimizer_values", "weights")}
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "declare": (), "start": ({},), "restore": ({}, {}, {}, 0), "step": (STATE, []),
    "fit": (STATE, None), "evaluate": (STATE, None), "predict": (STATE, {}), "trained": (STATE,),
    "optimizer_values": (STATE,), "weights": (STATE,),
}  # fmt: skip
METHODS = tuple(ARGUMENTS)


class OddLoss(Loss):
    """Sums what it is given; a test replaces one method."""

    per_target = False

    @classmethod
    def build(cls, *_: Any) -> OddLoss:
        return cls()

    def declare(self) -> Any:
        return {}

    def __call__(self, outputs: Any, targets: Any) -> Any:
        return outputs.sum(), targets.sum()


def giving(method: str) -> Callable[..., Any]:
    return lambda *_, **__: GIVEN[method]


OddTrainer = type("OddTrainer", (Trainer,), {name: giving(name) for name in METHODS})
OddTrainer.build = classmethod(lambda cls, *_: cls())  # type: ignore[attr-defined]  # as above
OddTrainer.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]  # all are there now


@dataclass(frozen=True)
class Kind:
    kind: str = "odd"


class Plugin:
    @hookimpl
    def lmkernel_register_components(self) -> list[ComponentSpec]:
        loads: dict[Any, str] = {"loss": "OddLoss", "trainer": "OddTrainer"}
        return [
            ComponentSpec(
                contract=CONTRACT_VERSION, name="odd", interface=what, load=f"{__name__}:{load}"
            )
            for what, load in loads.items()
        ]


def factory() -> ComponentFactory:
    registry = Registry()
    registry.register("odd", Plugin())
    return ComponentFactory(load_backend("numpy", registry=registry))


def loss() -> Loss:
    made: Loss = factory().create("loss", LossConfig(kind="odd"))
    return made


def trainer() -> Trainer:
    made: Trainer = factory().create("trainer", Kind())
    return made


def asked(method: str) -> Any:
    return getattr(trainer(), method)(*ARGUMENTS[method])


def test_loss_that_is_right_gives_the_same() -> None:
    made = loss()
    assert made.per_target is False
    assert made.declare() == {}
    assert made(np.ones(3), np.ones(2)) == (3, 2)


@pytest.mark.parametrize("error", [SystemExit(0), ZeroDivisionError("x")], ids=["exit", "zero"])
def test_what_a_loss_raises_is_named(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(OddLoss, "__call__", raising)
    with pytest.raises(PluginError, match=f"^loss 'odd', __call__: {type(error).__name__}: "):
        loss()(np.ones(3), np.ones(2))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "expected tuple, got NoneType"),
        ((np.float32(1),), r"expected a total and a count, 0-d, got shapes \[\(\)\]"),
        ((np.ones(2), np.float32(1)), r"expected a total and a count, 0-d, got shapes .*2,.*"),
        ((1.0, np.float32(1)), r"expected a total and a count, 0-d, got shapes .*None.*"),
    ],
)
def test_what_a_loss_gives_is_checked(
    given: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OddLoss, "__call__", lambda *_: given)
    with pytest.raises(PluginError, match=f"^loss 'odd', __call__: {said}$"):
        loss()(np.ones(3), np.ones(2))


def test_what_a_loss_prints_goes_to_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        OddLoss, "__call__", lambda *_: sys.stdout.write("x") and (np.float32(1), np.float32(1))
    )
    loss()(np.ones(3), np.ones(2))
    assert capsys.readouterr() == ("", "x")


@pytest.mark.parametrize("method", METHODS)
def test_trainer_that_is_right_gives_the_same(method: str) -> None:
    assert asked(method) is GIVEN[method]


@pytest.mark.parametrize("method", METHODS)
def test_what_a_trainer_raises_is_named(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(*_: Any, **__: Any) -> Any:
        raise KeyError("x")

    monkeypatch.setattr(OddTrainer, method, raising)
    with pytest.raises(PluginError, match=f"^trainer 'odd', {method}: KeyError: 'x'$"):
        asked(method)


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        ("declare", 3, r"expected .*Mapping \| list, got int"),
        ("start", {}, "expected TrainingState, got dict"),
        ("start", odd(STATE, step="1"), r"TrainingState.step: expected int, got '1' \(str\)"),
        ("restore", odd(STATE, frozen=[]), r"TrainingState.frozen: expected Mapping.*, got \[\].*"),
        ("step", (STATE,), "expected a TrainingState and a StepResult, got others"),
        ("step", (STATE, odd(RESULT, loss=None)), "StepResult.loss: expected float, got None.*"),
        ("evaluate", {}, "loss: expected a number, got None"),
        ("evaluate", {"loss": 1.0, "x": "y"}, "x: expected a number, got 'y'"),
        ("predict", [1.0], "expected ndarray, got list"),
        ("weights", {"w": None}, None),
    ],
)
def test_what_a_trainer_gives_is_checked(
    method: str, given: Any, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OddTrainer, method, lambda *_, **__: given)
    where = f"{method}: {said}" if said else f"{method}: w: expected ndarray, got NoneType"
    with pytest.raises(PluginError, match=f"^trainer 'odd', {where}$"):
        asked(method)


def test_a_refusal_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: Any) -> Any:
        raise InputError("no such batch")

    monkeypatch.setattr(OddTrainer, "step", refusing)
    with pytest.raises(InputError, match=r"^no such batch$"):
        asked("step")


class Failing(Callback):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def after_step(self, *_: object) -> bool:
        raise self.error


def fitting(_: Any, state: TrainingState, __: Any, *, callbacks: Any, **___: Any) -> TrainingState:
    for callback in callbacks:
        callback.after_step(None, state, RESULT)
    return replace(state, step=1)


@pytest.mark.parametrize("error", [OSError(28, "No space left"), RunError("no checkpoint")])
def test_what_a_callback_raises_is_not_the_trainers(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OddTrainer, "fit", fitting)
    with pytest.raises(type(error)) as raised:
        trainer().fit(STATE, None, callbacks=[Failing(error)])  # type: ignore[arg-type]  # unused
    assert raised.value is error


@pytest.mark.parametrize(("interface", "guarded"), [(Loss, GuardedLoss), (Trainer, GuardedTrainer)])
def test_every_method_is_guarded(interface: type, guarded: type) -> None:
    assert interface.__abstractmethods__ <= vars(guarded).keys()  # type: ignore[attr-defined]  # it is abstract
