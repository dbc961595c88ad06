"""A loss and a trainer from a plugin: what goes wrong in one is reported by its name.

Constraint: the parts of a model are called as they are, since a framework looks into them when it
compiles or exports a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np

from lmkernel.contract.fields import check_fields
from lmkernel.errors import PluginError, shown
from lmkernel.interfaces.parts import Loss
from lmkernel.interfaces.trainer import Callback, StepResult, Trainer, TrainingState
from lmkernel.plugins.guarded import Guarded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Array
    from lmkernel.interfaces.component import ParamTree
    from lmkernel.training.data import Batch, Batches

__all__ = ["GuardedLoss", "GuardedTrainer"]


@final
class GuardedLoss(Guarded, Loss):
    """A loss from a plugin."""

    guarded: ClassVar[type] = Loss

    def __init__(self, own: Any, what: str) -> None:
        super().__init__(own, what)
        self.per_target = bool(own.per_target)  # type: ignore[misc]  # another class's own

    @classmethod
    def build(cls, *_: object) -> Self:
        """Never asked: the plugin's own class is."""
        raise AssertionError

    def declare(self) -> ParamTree:
        return self._ask("declare", Mapping | list)

    def __call__(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        made: tuple[Array, Array] = self._ask("__call__", tuple, outputs, targets)
        shapes = [tuple(getattr(part, "shape", (None,))) for part in made]
        if shapes != [(), ()]:
            raise self._error("__call__", f"expected a total and a count, 0-d, got shapes {shapes}")
        return made


@final
class GuardedTrainer(Guarded, Trainer):
    """A trainer from a plugin."""

    guarded: ClassVar[type] = Trainer

    @classmethod
    def build(cls, *_: object) -> Self:
        """Never asked: the plugin's own class is."""
        raise AssertionError

    def declare(self) -> ParamTree:
        return self._ask("declare", Mapping | list)

    def start(self, values: Mapping[str, NDArray[Any]]) -> TrainingState:
        return self._state("start", values)

    def restore(
        self,
        values: Mapping[str, NDArray[Any]],
        trained: Mapping[str, NDArray[Any]],
        optimizer: Mapping[str, NDArray[Any]],
        step: int,
    ) -> TrainingState:
        return self._state("restore", values, trained, optimizer, step)

    def step(
        self, state: TrainingState, batches: Sequence[Batch]
    ) -> tuple[TrainingState, StepResult]:
        made: tuple[TrainingState, StepResult] = self._ask("step", tuple, state, batches)
        if [type(part) for part in made] != [TrainingState, StepResult]:
            raise self._error("step", "expected a TrainingState and a StepResult, got others")
        self._check("step", made[0], TrainingState)
        self._check("step", made[1], StepResult)
        return made

    def fit(
        self,
        state: TrainingState,
        data: Batches,
        *,
        until: int | None = None,
        accumulate: int = 1,
        callbacks: Sequence[Callback] = (),
    ) -> TrainingState:
        told = [_Told(callback) for callback in callbacks]
        more = {"until": until, "accumulate": accumulate, "callbacks": told}
        try:
            return self._state("fit", state, data, **more)
        except PluginError:
            for callback in told:
                if callback.raised is not None:
                    raise callback.raised from None
            raise

    def evaluate(self, state: TrainingState, data: Batches) -> dict[str, float]:
        made: dict[str, float] = self._ask("evaluate", dict, state, data)
        for name, value in {"loss": None, **made}.items():
            if not isinstance(value, Real):
                raise self._error("evaluate", f"{name}: expected a number, got {shown(value)}")
        return made

    def predict(self, state: TrainingState, batch: Batch) -> NDArray[Any]:
        made: NDArray[Any] = self._ask("predict", np.ndarray, state, batch)
        return made

    def trained(self, state: TrainingState) -> dict[str, NDArray[Any]]:
        return self._arrays("trained", state)

    def optimizer_values(self, state: TrainingState) -> dict[str, NDArray[Any]]:
        return self._arrays("optimizer_values", state)

    def weights(self, state: TrainingState) -> dict[str, NDArray[Any]]:
        return self._arrays("weights", state)

    def _state(self, method: str, *given: Any, **more: Any) -> TrainingState:
        """What a method gives that gives a state."""
        made: TrainingState = self._ask(method, TrainingState, *given, **more)
        self._check(method, made, TrainingState)
        return made

    def _check(self, method: str, made: object, kind: type) -> None:
        """Refuse a field of another type."""
        check_fields(made, kind, f"{self._what}, {method}: {kind.__name__}.")

    def _arrays(self, method: str, state: TrainingState) -> dict[str, NDArray[Any]]:
        """What a method gives that gives arrays by name."""
        made: dict[str, NDArray[Any]] = self._ask(method, dict, state)
        for name, value in made.items():
            self._require(f"{method}: {name}", value, np.ndarray)
        return made


@final
class _Told(Callback):
    """A callback that a plugin's trainer calls: what it raises is not the trainer's."""

    def __init__(self, own: Callback) -> None:
        self._own = own
        self.raised: BaseException | None = None

    def after_step(self, trainer: Trainer, state: TrainingState, result: StepResult) -> bool:
        try:
            return self._own.after_step(trainer, state, result)
        except BaseException as error:
            self.raised = error
            raise
