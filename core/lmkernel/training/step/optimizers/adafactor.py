"""Adafactor (arXiv:1804.04235, alg. 4 and 5): second moments of matrices kept as row and column.

Constraint: as ``torch.optim.Adafactor``, which means where the paper sums, caps the relative step
by the learning rate, and has ε1 as a lower bound at the end instead of adding it to squares.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, final

from lmkernel.composed.precision import constant
from lmkernel.training.step.optimizers.decay import SeparateOptimizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Param
    from lmkernel.training.config import OptimizerConfig

__all__ = ["Adafactor"]

_DECAY, _SMALLEST, _LARGEST = -0.8, 1e-3, 1.0
"""Exponent of the second moment's decay, least scale of a step (ε2), clipping threshold (d)."""


@final
class Adafactor(SeparateOptimizer):
    """p = p - ρ · max(ε2, rms(p)) · u / max(1, rms(u) / d) with u = g / max(√v, ε1).

    At step t, w = t^beta2_decay is the share of the new: v = (1 - w)·v + w·g², for a matrix as
    the mean of its rows r and of its columns c, v = r·c / max(mean(r), ε1); ρ = min(rate, 1/√t).
    Weights decay by rate · decay first. ε1 is ``eps``. Options: ``beta2_decay`` (-0.8), ``eps2``
    (1e-3), ``d`` (1). State: ``"row"`` and ``"column"`` of matrices, ``"v"`` of the rest.
    """

    options = ("beta2_decay", "eps2", "d")

    def __init__(self, ops: Ops, config: OptimizerConfig, declared: Mapping[str, Param]) -> None:
        super().__init__(ops, config, declared)
        self._exponent = float(config.options.get("beta2_decay", _DECAY))
        self._smallest = float(config.options.get("eps2", _SMALLEST))
        self._largest = float(config.options.get("d", _LARGEST))

    @classmethod
    def usual(cls) -> Mapping[str, Any]:
        return {"eps": 1e-7}

    def scalars(self, step: int, rate: float) -> dict[str, float]:
        """The learning rate, the share of the new in the second moments, and the relative step."""
        fresh = step**self._exponent
        return {"rate": rate, "fresh": fresh, "relative": min(rate, 1 / math.sqrt(step))}

    def _update_moments(self, g: Array, own: Mapping[str, Array], fresh: Array) -> dict[str, Array]:
        """The second moments with this gradient in them."""
        ops, squares = self._ops, {"v": g * g}
        if "row" in own:
            squares = {
                "row": ops.mean(squares["v"], -1, keepdims=True),
                "column": ops.mean(squares["v"], -2, keepdims=True),
            }
        return {slot: old + fresh * (squares[slot] - old) for slot, old in own.items()}

    def _slots(self, name: str, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        """A column of row means and a row of column means for a matrix."""
        del name
        if len(shape) <= 1:
            return {"v": shape}
        return {"row": (*shape[:-1], 1), "column": (*shape[:-2], 1, shape[-1])}

    def _step(
        self, p: Array, g: Array, own: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        ops, eps = self._ops, self._config.eps
        kept = self._update_moments(g, own, scalars["fresh"])
        variance = self._variance(kept)
        u = g / ops.sqrt(ops.maximum(variance, constant(ops, eps * eps, g)))
        least = constant(ops, self._smallest, p)
        # relative to the parameter, so that one learning rate serves tensors of any scale; at
        # least ε2, or parameters that begin at zero would never leave it
        size = ops.maximum(least, self._rms(p)) * scalars["relative"]
        one, limit = constant(ops, 1.0, g), constant(ops, self._largest, g)
        # without momentum a gradient much above its running mean would make a step that size
        return u * (size / ops.maximum(one, self._rms(u) / limit)), kept

    def _variance(self, own: dict[str, Array]) -> Array:
        """v: of a matrix the outer product of rows and columns that has the same sums as v."""
        if "v" in own:
            return own["v"]
        ops, row = self._ops, own["row"]
        floor = constant(ops, self._config.eps, row)
        return row * own["column"] / ops.maximum(ops.mean(row, -2, keepdims=True), floor)

    def _rms(self, x: Array) -> Array:
        count = constant(self._ops, math.sqrt(math.prod(x.shape)), x)
        return self._ops.global_norm([x]) / count
