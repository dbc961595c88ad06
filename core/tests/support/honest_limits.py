"""How far a result may be from an exact one: four times as far as transformers' own in float32."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Limit:
    """An exact result, and how far from it an honest one may be."""

    exact: np.ndarray
    honest: list[float] = field(default_factory=list)

    def judge(self, what: str, got: np.ndarray) -> None:
        budget = 4 * max(self.honest) + 4 * np.spacing(np.float32(np.abs(self.exact).max()))
        error = np.abs(got - self.exact).max()
        assert error <= budget, (
            f"{what}: expected an error of {budget:.3g} at most, got {error:.3g}"
        )
