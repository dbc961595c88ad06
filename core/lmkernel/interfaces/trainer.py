"""The trainer: fits a model's parameters, evaluates them, predicts with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping  # noqa: TC003 - read when fields are checked
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.contract.mandatory import Array, Tree  # noqa: TC001 - read when fields are checked
from lmkernel.interfaces.component import Component

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.training.data import Batch, Batches

__all__ = ["Callback", "StepResult", "Trainer", "TrainingState"]


@final
@dataclass(frozen=True)
class TrainingState:
    """Where a run stands; each step consumes it. Arrays are on the device, by dotted name.

    Args:
        step: number of steps taken.
        trainable: arrays that the optimizer moves: the parameters, or adapters beside them.
        frozen: parameters that stay as they are.
        optimizer: the optimizer's state.
    """

    step: int
    trainable: Mapping[str, Array]
    frozen: Mapping[str, Array]
    optimizer: Tree


@final
@dataclass(frozen=True)
class StepResult:
    """The result of one step.

    Args:
        loss: mean over the step's targets, of all its micro-batches together.
        count: number of targets.
        norm: global norm of the gradient of that mean, before clipping.
        rate: the learning rate.
    """

    loss: float
    count: float
    norm: float
    rate: float


class Callback(ABC):
    """A hook into `Trainer.fit`."""

    @abstractmethod
    def after_step(self, trainer: Trainer, state: TrainingState, result: StepResult) -> bool:
        """Called after each step, in the order given; true asks `fit` to stop here."""


class Trainer(Component):
    """Drives a model over batches of host arrays; enters the backend's scope by itself."""

    @abstractmethod
    def start(self, values: Mapping[str, NDArray[Any]]) -> TrainingState:
        """The state before the first step, from host weights by dotted name."""

    @abstractmethod
    def restore(
        self,
        values: Mapping[str, NDArray[Any]],
        trained: Mapping[str, NDArray[Any]],
        optimizer: Mapping[str, NDArray[Any]],
        step: int,
    ) -> TrainingState:
        """The state that `trained` and `optimizer_values` gave, over the same start weights.

        Raises:
            InputError: they are of another model, other adapters or another kind of optimizer.
        """

    @abstractmethod
    def step(
        self, state: TrainingState, batches: Sequence[Batch]
    ) -> tuple[TrainingState, StepResult]:
        """One step over the micro-batches together, as if they were one; consumes the state.

        Raises:
            NotFiniteError: the loss or the gradient is not a finite number; the state is lost.
            InputError: a batch that the model cannot take.
        """

    @abstractmethod
    def fit(
        self,
        state: TrainingState,
        data: Batches,
        *,
        until: int | None = None,
        accumulate: int = 1,
        callbacks: Sequence[Callback] = (),
    ) -> TrainingState:
        """Steps up to number ``until``, each over the next ``accumulate`` batches.

        Step n takes the batches from ``(n - 1) · accumulate`` on, so that a restored state goes on
        where it stopped.
        """

    @abstractmethod
    def evaluate(self, state: TrainingState, data: Batches) -> dict[str, float]:
        """The mean loss over one epoch as ``"loss"``, and the metrics that follow from it."""

    @abstractmethod
    def predict(self, state: TrainingState, batch: Batch) -> NDArray[Any]:
        """The model's output for one batch, on the host."""

    @abstractmethod
    def trained(self, state: TrainingState) -> dict[str, NDArray[Any]]:
        """Copies of what is trained, on the host, by dotted name."""

    @abstractmethod
    def optimizer_values(self, state: TrainingState) -> dict[str, NDArray[Any]]:
        """Copies of the optimizer's state, on the host, by dotted name."""

    @abstractmethod
    def weights(self, state: TrainingState) -> dict[str, NDArray[Any]]:
        """The whole model's weights on the host, adapters merged into them."""
