"""Optimizers with one running mean, the momentum: SGD and Lion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.composed.precision import constant
from lmkernel.config.check import require
from lmkernel.training.step.optimizers.decay import SeparateOptimizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Param
    from lmkernel.training.config import OptimizerConfig

__all__ = ["SGD", "Lion"]


@final
class SGD(SeparateOptimizer):
    """Stochastic gradient descent, with Nesterov's momentum too (Sutskever et al. 2013).

    b = μ·b + g, u = g + μ·b with ``nesterov``, else b; p = p - rate · (decay·p + u).

    As ``torch.optim.SGD`` with dampening 0, but that the decay is decoupled (arXiv:1711.05101,
    alg. 1). State: ``"momentum"``, unless that is 0.
    """

    elementwise = True

    @classmethod
    def build(cls, ops: Ops, config: OptimizerConfig, declared: Mapping[str, Param]) -> Self:
        """Raises `ConfigError` for ``nesterov`` without momentum."""
        ahead = "False without momentum"
        require(config, "nesterov", ahead, ok=config.momentum > 0 or not config.nesterov)
        return super().build(ops, config, declared)

    @classmethod
    def usual(cls) -> Mapping[str, Any]:
        return {"momentum": 0.9}

    def _slots(self, name: str, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        del name
        return {"momentum": shape} if self._config.momentum else {}

    def _step(
        self, p: Array, g: Array, own: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        del p
        if not own:
            return scalars["rate"] * g, {}
        u, buffer = self._accumulate(g, own["momentum"])
        return scalars["rate"] * u, {"momentum": buffer}

    def _accumulate(self, g: Array, buffer: Array) -> tuple[Array, Array]:
        """What is subtracted, and the new buffer."""
        mu = constant(self._ops, self._config.momentum, g)
        buffer = mu * buffer + g
        return (g + mu * buffer if self._config.nesterov else buffer), buffer


@final
class Lion(SeparateOptimizer):
    """The sign of a mixture of gradient and momentum (arXiv:2302.06675, alg. 2).

    p = p - rate · (decay·p + sign(β1·m + (1 - β1)·g)), then m = β2·m + (1 - β2)·g.

    sign(0) is 0. State: ``"m"``.
    """

    elementwise = True
    slots = ("m",)

    @classmethod
    def usual(cls) -> Mapping[str, Any]:
        return {"beta2": 0.99}

    def _step(
        self, p: Array, g: Array, own: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        del p
        # the step follows β1, the memory β2: the newest gradient weighs more in the step
        sign = self._sign(self._mix(own["m"], g, self._config.beta1))
        return scalars["rate"] * sign, {"m": self._mix(own["m"], g, self._config.beta2)}

    def _mix(self, m: Array, g: Array, beta: float) -> Array:
        return constant(self._ops, beta, m) * m + constant(self._ops, 1 - beta, m) * g

    def _sign(self, x: Array) -> Array:
        ops = self._ops
        zero, one = constant(ops, 0.0, x), constant(ops, 1.0, x)
        return ops.where(x > zero, one, ops.where(x < zero, -one, zero))
