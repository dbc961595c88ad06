"""A loss: what training makes small."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from lmkernel.config.check import frozen_options, require
from lmkernel.interfaces.component import Component

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array

__all__ = ["Loss", "LossConfig"]


@final
@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """A loss of some kind: ``"mse"``, ``"cross_entropy"``, ``"soft_cross_entropy"`` or a plugin's.

    Args:
        smoothing: label smoothing of ``"cross_entropy"``.
        options: settings of a plugin's kind.
    """

    kind: str
    smoothing: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frozen_options(self)
        require(self, "smoothing", "a share in [0, 1)", ok=0 <= self.smoothing < 1)


class Loss(Component):
    """Compares outputs with targets; has no parameters of its own unless it declares some."""

    @abstractmethod
    def __call__(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Return (total, count), both 0-d: the mean is their quotient.

        Micro-batches of unequal size add up rightly only as sums: totals with totals, counts with
        counts.

        Args:
            outputs: ``(…, classes)``, or any shape for a regression.
            targets: int32 classes ``(…)`` where a negative one is ignored, a distribution
                ``(…, classes)``, or values in the shape of ``outputs``.
        """
