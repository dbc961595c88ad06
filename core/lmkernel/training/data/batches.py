"""The interface of training data: batches that are a function of their number.

Constraint: no position is kept anywhere. The batch of a number is the same in every process and on
every backend, so that resuming in the middle of an epoch is asking for the next number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Batch", "Batches"]

Batch = dict[str, "NDArray[Any]"]
"""Host arrays by name: those of `Model.forward` (``inputs``, ``positions``, ``segments``,
``target``, ``target_positions``) and ``targets``; int32, or float32 for vectors. Positions are -1
at padding; class targets are negative where they are ignored."""


class Batches(ABC):
    """Training or validation data, batched."""

    @abstractmethod
    def __len__(self) -> int:
        """Batches in one epoch, at least 1."""

    @abstractmethod
    def at(self, index: int) -> Batch:
        """The batch of a number from 0 on, over all epochs: ``index // len`` is the epoch."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Hexadecimal hash of all that the batches follow from: data, seed, sizes."""
