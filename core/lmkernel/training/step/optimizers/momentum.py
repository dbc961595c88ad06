"""Optimizers with one running mean, the momentum: SGD and Lion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.composed.precision import constant
from lmkernel.config.check import require
from lmkernel.training.step.optimizers.decay import DecayingOptimizer, shrink
from lmkernel.training.step.optimizers.optimizer import zeros

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Param
    from lmkernel.training.config import OptimizerConfig

__all__ = ["SGD", "Lion"]


@final
class SGD(DecayingOptimizer):
    """Stochastic gradient descent, with Nesterov's momentum too (Sutskever et al. 2013).

    b = μ·b + g, u = g + μ·b with ``nesterov``, else b; p = p - rate · (decay·p + u).

    As ``torch.optim.SGD`` with dampening 0, but that the decay is decoupled (arXiv:1711.05101,
    alg. 1). State: ``"momentum"``, unless that is 0.
    """

    @classmethod
    def build(cls, ops: Ops, config: OptimizerConfig, declared: Mapping[str, Param]) -> Self:
        """Raises `ConfigError` for ``nesterov`` without momentum."""
        ahead = "False without momentum"
        require(config, "nesterov", ahead, ok=config.momentum > 0 or not config.nesterov)
        return super().build(ops, config, declared)

    @classmethod
    def usual(cls) -> Mapping[str, Any]:
        return {"momentum": 0.9}

    def init(self, params: Mapping[str, Array]) -> Tree:
        """Zeros, or nothing without momentum."""
        return {"momentum": zeros(self._ops, params)} if self._config.momentum else {}

    def update(
        self,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        state: Tree,
        scalars: Mapping[str, Array],
    ) -> tuple[dict[str, Array], Tree]:
        """Parameter by parameter."""
        new, buffers, rate = {}, {}, scalars["rate"]
        for name, p in params.items():
            u = grads[name] * scalars["grad_scale"]
            if self._config.momentum:
                u, buffers[name] = self._accumulate(u, state["momentum"][name])
            new[name] = shrink(self._ops, p, rate, self._decays[name]) - rate * u
        return new, {"momentum": buffers} if buffers else {}

    def _accumulate(self, g: Array, buffer: Array) -> tuple[Array, Array]:
        """What is subtracted, and the new buffer."""
        mu = constant(self._ops, self._config.momentum, g)
        buffer = mu * buffer + g
        return (g + mu * buffer if self._config.nesterov else buffer), buffer


@final
class Lion(DecayingOptimizer):
    """The sign of a mixture of gradient and momentum (arXiv:2302.06675, alg. 2).

    p = p - rate · (decay·p + sign(β1·m + (1 - β1)·g)), then m = β2·m + (1 - β2)·g.

    sign(0) is 0. State: ``"m"``.
    """

    @classmethod
    def usual(cls) -> Mapping[str, Any]:
        return {"beta2": 0.99}

    def init(self, params: Mapping[str, Array]) -> Tree:
        """Zeros."""
        return {"m": zeros(self._ops, params)}

    def update(
        self,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        state: Tree,
        scalars: Mapping[str, Array],
    ) -> tuple[dict[str, Array], Tree]:
        """Parameter by parameter."""
        new, means, rate = {}, {}, scalars["rate"]
        for name, p in params.items():
            g, m = grads[name] * scalars["grad_scale"], state["m"][name]
            # the step follows β1, the memory β2: the newest gradient weighs more in the step
            base = shrink(self._ops, p, rate, self._decays[name])
            new[name] = base - rate * self._sign(self._mix(m, g, self._config.beta1))
            means[name] = self._mix(m, g, self._config.beta2)
        return new, {"m": means}

    def _mix(self, m: Array, g: Array, beta: float) -> Array:
        return constant(self._ops, beta, m) * m + constant(self._ops, 1 - beta, m) * g

    def _sign(self, x: Array) -> Array:
        ops = self._ops
        zero, one = constant(ops, 0.0, x), constant(ops, 1.0, x)
        return ops.where(x > zero, one, ops.where(x < zero, -one, zero))
