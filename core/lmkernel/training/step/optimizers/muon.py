"""Muon: momentum made orthogonal, for the hidden matrices (Jordan et al. 2024, arXiv:2502.16982).

Constraint: embeddings, heads, biases and normalisations go by AdamW, with the same learning rate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.composed.precision import constant
from lmkernel.config.check import require
from lmkernel.training.step.optimizers.adam import AdamW
from lmkernel.training.step.optimizers.decay import DecayingOptimizer, shrink
from lmkernel.training.step.optimizers.optimizer import zeros

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
class Muon(DecayingOptimizer):
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

    def init(self, params: Mapping[str, Array]) -> Tree:
        """Zeros."""
        matrices, others = self._split(params)
        return _join(zeros(self._ops, matrices), self._rest.init(others) if others else {})

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
        matrices, others = self._split(params)
        new: dict[str, Array] = {}
        buffers: dict[str, Array] = {}
        for name, p in matrices.items():
            g = grads[name] * scalars["grad_scale"]
            buffers[name] = self._mix(state["momentum"][name], g)
            u = self._mix(buffers[name], g) if self._config.nesterov else buffers[name]
            base = shrink(self._ops, p, scalars["rate"], self._decays[name])
            # O has singular values of about 1 whatever the gradient's size, so its elements shrink
            # as the matrix grows; the factor makes up for that
            size = constant(self._ops, self._scale(p.shape), p) * scalars["rate"]
            new[name] = base - size * _orthogonal(self._ops, u)
        rest: Tree = {}
        if others:
            updated, rest = self._rest.update(others, grads, state, scalars)
            new |= updated
        return {name: new[name] for name in params}, _join(buffers, rest)

    def _split(self, params: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        """(matrices, the rest)."""
        matrices = {name: p for name, p in params.items() if name in self._matrices}
        return matrices, {name: p for name, p in params.items() if name not in matrices}

    def _mix(self, m: Array, g: Array) -> Array:
        mu = self._config.momentum
        return constant(self._ops, mu, m) * m + constant(self._ops, 1 - mu, m) * g

    def _scale(self, shape: tuple[int, ...]) -> float:
        n, k = shape
        return math.sqrt(max(1, n / k)) if self._original else 0.2 * math.sqrt(max(n, k))


def _join(momentum: dict[str, Array], rest: dict[str, dict[str, Array]]) -> Tree:
    return {"momentum": momentum, **rest} if momentum else rest


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
