"""The trainer: fits a model's parameters, evaluates them, predicts with them."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from lmkernel.interfaces.component import Component

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lmkernel.contract.mandatory import Array, Tree

__all__ = ["Trainer"]


class Trainer(Component):
    """Drives a model over batches, each a mapping from the model's argument names to arrays."""

    @abstractmethod
    def fit(
        self, params: Tree, batches: Iterable[Mapping[str, Array]], *, steps: int
    ) -> tuple[Tree, list[float]]:
        """Take ``steps`` optimizer steps; returns the new parameters and the loss of each step."""

    @abstractmethod
    def evaluate(self, params: Tree, batches: Iterable[Mapping[str, Array]]) -> dict[str, float]:
        """Mean loss, and the task's metrics, over the batches."""

    @abstractmethod
    def predict(self, params: Tree, batch: Mapping[str, Array]) -> Any:
        """The model's output for one batch, on the host."""
