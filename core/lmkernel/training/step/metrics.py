"""Means and metrics over an evaluation, gathered on the host."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Metrics"]


@final
class Metrics:
    """Sums over batches; `result` divides them.

    A loss over classes also gives the perplexity, exp(loss), and the accuracy over the targets that
    are not ignored; one class for each row also gives the macro-averaged F1: the mean over the
    classes that are there of 2·tp / (2·tp + fp + fn) (van Rijsbergen 1979, ch. 7).
    """

    def __init__(self) -> None:
        self._total = self._count = 0.0
        self._right = self._judged = 0
        self._rows: list[tuple[NDArray[Any], NDArray[Any]]] = []

    def add(self, sums: Mapping[str, NDArray[Any]], targets: NDArray[Any]) -> None:
        """One batch: ``"total"`` and ``"count"`` of its loss, ``"predicted"`` classes if any."""
        self._total += float(sums["total"])
        self._count += float(sums["count"])
        if (predicted := sums.get("predicted")) is None:
            return
        real = targets >= 0
        self._right += int((predicted == targets)[real].sum())
        self._judged += int(real.sum())
        if targets.ndim == 1:
            self._rows.append((targets[real], predicted[real]))

    def result(self) -> dict[str, float]:
        """The means: ``"loss"``, and ``"perplexity"``, ``"accuracy"``, ``"f1"`` where they apply.

        ``"targets"`` says how many there were.
        """
        loss = self._total / max(self._count, 1.0)
        values = {"loss": loss, "targets": self._count}
        if self._judged:
            values["perplexity"] = math.exp(loss) if loss < 700 else math.inf  # noqa: PLR2004 - the largest exponent of a float64
            values["accuracy"] = self._right / self._judged
        if self._rows:
            values["f1"] = _macro_f1(*(np.concatenate(x) for x in zip(*self._rows, strict=True)))
        return values


def _macro_f1(targets: NDArray[Any], predicted: NDArray[Any]) -> float:
    classes = np.union1d(targets, predicted)
    shares = []
    for one in classes:
        hit = int(((targets == one) & (predicted == one)).sum())
        shares.append(2 * hit / int((targets == one).sum() + (predicted == one).sum()))
    return float(np.mean(shares))
