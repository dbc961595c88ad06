"""How far a result may be from an exact one: four times as far as transformers' own in float32."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


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


def limit_of(model: Any, ids: list[int], what: Callable[[Any], Any]) -> Limit:
    """The limit of one row of a model of transformers, from its own answers alone and in batches.

    Args:
        model: in float32, on torch.
        ids: the row.
        what: takes the tensor out of the model's output, ``(batch, time, width)``.
    """
    import torch
    from family_kinds import use_eager_experts

    def asked(one: Any, count: int) -> np.ndarray:
        with torch.inference_mode():
            return what(one(torch.tensor([ids] * count)))[-1].double().numpy()

    use_eager_experts(model)
    exact = Limit(asked(copy.deepcopy(model).double(), 1))
    ways = ("eager", "sdpa") if model._supports_sdpa else ("eager",)
    for way, count in itertools.product(ways, (1, 2, 5, 8)):
        model.set_attn_implementation(way)
        exact.honest.append(np.abs(asked(model, count) - exact.exact).max())
    return exact
