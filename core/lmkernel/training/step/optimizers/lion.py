"""Lion (arXiv:2302.06675, alg. 2): the sign of a mixture of gradient and momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, final

from lmkernel.composed.precision import constant
from lmkernel.training.step.optimizers.decay import decays, shrunk
from lmkernel.training.step.optimizers.optimizer import Optimizer
from lmkernel.training.step.optimizers.settings import known_options
from lmkernel.training.step.optimizers.state import zeros

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Param
    from lmkernel.training.config import OptimizerConfig

__all__ = ["Lion"]


@final
class Lion(Optimizer):
    """p = p - rate · (decay·p + sign(β1·m + (1 - β1)·g)), then m = β2·m + (1 - β2)·g.

    sign(0) is 0. State: ``"m"``.
    """

    def __init__(self, ops: Ops, config: OptimizerConfig, declared: Mapping[str, Param]) -> None:
        self._ops, self._config = ops, config
        self._decays = decays(config.weight_decay, declared)

    @classmethod
    def build(cls, ops: Ops, config: OptimizerConfig, declared: Mapping[str, Param]) -> Self:
        """Takes no options."""
        known_options(config)
        return cls(ops, config, declared)

    def init(self, params: Mapping[str, Array]) -> Tree:
        """Zeros."""
        return {"m": zeros(self._ops, params)}

    def scalars(self, step: int, rate: float) -> dict[str, float]:
        """The rate alone."""
        del step
        return {"rate": rate}

    def update(
        self,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        state: Tree,
        scalars: Mapping[str, Array],
    ) -> tuple[dict[str, Array], Tree]:
        """Parameter by parameter."""
        moved, means, rate = {}, {}, scalars["rate"]
        for name, p in params.items():
            g, m = grads[name] * scalars["grad_scale"], state["m"][name]
            kept = shrunk(self._ops, p, rate, self._decays[name])
            moved[name] = kept - rate * self._sign(self._mixed(m, g, self._config.beta1))
            means[name] = self._mixed(m, g, self._config.beta2)
        return moved, {"m": means}

    def _mixed(self, m: Array, g: Array, beta: float) -> Array:
        return constant(self._ops, beta, m) * m + constant(self._ops, 1 - beta, m) * g

    def _sign(self, x: Array) -> Array:
        ops = self._ops
        zero, one = constant(ops, 0.0, x), constant(ops, 1.0, x)
        return ops.where(x > zero, one, ops.where(x < zero, -one, zero))
