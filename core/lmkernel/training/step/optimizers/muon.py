"""Muon: momentum made orthogonal, for the hidden matrices (Jordan et al. 2024, arXiv:2502.16982).

Constraint: embeddings, heads, biases and normalisations go by AdamW, with the same learning rate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.composed.precision import constant
from lmkernel.config.check import require
from lmkernel.training.step.optimizers.adam import AdamW
from lmkernel.training.step.optimizers.decay import SeparateOptimizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Param
    from lmkernel.training.config import OptimizerConfig

__all__ = ["Muon", "is_hidden_matrix"]

_TABLES = frozenset({"vocab", "position", "segment"})
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5
_SMALLEST = 1e-7
_ADJUSTMENTS = ("match_rms_adamw", "original")


def is_hidden_matrix(param: Param) -> bool:
    """Whether it is a matrix between two hidden widths: neither a table nor a vocabulary's head."""
    return len(param.shape) == 2 and not _TABLES & set(param.axes)  # noqa: PLR2004 - a matrix


@final
class Muon(SeparateOptimizer):
    """m = μ·m + (1 - μ)·g, u = μ·m + (1 - μ)·g with ``nesterov``, else m.

    p = p - rate · (decay·p + a·O(u)), where O makes orthogonal by Newton-Schulz, and the option
    ``adjust`` says what a is for a matrix of (n, k): ``"match_rms_adamw"``, 0.2·√max(n, k), under
    which AdamW's learning rates serve (arXiv:2502.16982, §2.2); or ``"original"``, √max(1, n/k). As
    ``torch.optim.Muon``, but that O is computed in the dtype of the parameter.
    State: ``"momentum"`` of matrices, ``"m"`` and ``"v"`` of the rest.
    """

    options = ("adjust",)

    def __init__(self, ops: Ops, config: OptimizerConfig, declared: Mapping[str, Param]) -> None:
        super().__init__(ops, config, declared)
        self._rest = AdamW(ops, config, declared)
        self._matrices = frozenset(name for name, p in declared.items() if is_hidden_matrix(p))
        self._original = config.options.get("adjust") == "original"

    @classmethod
    def build(cls, ops: Ops, config: OptimizerConfig, declared: Mapping[str, Param]) -> Self:
        """Raises `ConfigError` for an option, or a value of one, that is not known."""
        adjust = config.options.get("adjust", _ADJUSTMENTS[0])
        expected = "adjust to be one of " + ", ".join(_ADJUSTMENTS)
        require(config, "options", expected, ok=adjust in _ADJUSTMENTS)
        return super().build(ops, config, declared)

    @classmethod
    def usual(cls) -> Mapping[str, Any]:
        return {"momentum": 0.95, "nesterov": True, "weight_decay": 0.1}

    def scalars(self, step: int, rate: float) -> dict[str, float]:
        """Those of `AdamW`."""
        return self._rest.scalars(step, rate)

    def update(
        self,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        state: Tree,
        scalars: Mapping[str, Array],
    ) -> tuple[dict[str, Array], Tree]:
        """Matrices one by one, the rest by AdamW in one call."""
        matrices = {name: p for name, p in params.items() if name in self._matrices}
        new, after = super().update(matrices, grads, state, scalars)
        if others := {name: p for name, p in params.items() if name not in matrices}:
            updated, rest = self._rest.update(others, grads, state, scalars)
            new, after = {**new, **updated}, {**after, **rest}
        return {name: new[name] for name in params}, after

    def _slots(self, name: str, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        if name in self._matrices:
            return {"momentum": shape}
        return {"m": shape, "v": shape}

    def _step(
        self, p: Array, g: Array, own: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        buffer = self._mix(own["momentum"], g)
        u = self._mix(buffer, g) if self._config.nesterov else buffer
        # O has singular values of about 1 whatever the gradient's size, so its elements shrink
        # as the matrix grows; the factor makes up for that
        size = constant(self._ops, self._scale(p.shape), p) * scalars["rate"]
        return size * _orthogonal(self._ops, u), {"momentum": buffer}

    def _mix(self, m: Array, g: Array) -> Array:
        mu = self._config.momentum
        return constant(self._ops, mu, m) * m + constant(self._ops, 1 - mu, m) * g

    def _scale(self, shape: tuple[int, ...]) -> float:
        n, k = shape
        return math.sqrt(max(1, n / k)) if self._original else 0.2 * math.sqrt(max(n, k))


def _orthogonal(ops: Ops, x: Array) -> Array:
    """About U·Vᵀ of U·S·Vᵀ: five rounds of x = a·x + (b·xxᵀ + c·(xxᵀ)²)·x on the wide form.

    The coefficients take singular values from (0, 1] to about 1 ± 0.3, not to 1 itself.
    """
    if x.shape[0] > x.shape[1]:  # the Gram matrix of the wide form is the smaller one
        return ops.permute_dims(_orthogonal(ops, ops.permute_dims(x, (1, 0))), (1, 0))
    a, b, c = (constant(ops, value, x) for value in _COEFFICIENTS)
    # divided by the Frobenius norm no singular value is above 1, where the rounds converge
    x = x / ops.maximum(ops.global_norm([x]), constant(ops, _SMALLEST, x))
    for _ in range(_ROUNDS):
        gram = ops.matmul(x, ops.permute_dims(x, (1, 0)))
        x = a * x + ops.matmul(b * gram + c * ops.matmul(gram, gram), x)
    return x
