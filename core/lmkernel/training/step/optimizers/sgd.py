"""Stochastic gradient descent with momentum, plain or looking ahead (Sutskever et al. 2013)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, final

from lmkernel.composed.precision import constant
from lmkernel.config.check import require
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

__all__ = ["SGD"]


@final
class SGD(Optimizer):
    """b = μ·b + g, u = g + μ·b with ``nesterov``, else b; p = p - rate · (decay·p + u).

    As ``torch.optim.SGD`` with dampening 0, but that the decay is decoupled (arXiv:1711.05101,
    alg. 1). State: ``"momentum"``, unless there is none.
    """

    def __init__(self, ops: Ops, config: OptimizerConfig, declared: Mapping[str, Param]) -> None:
        self._ops, self._config = ops, config
        self._decays = decays(config.weight_decay, declared)

    @classmethod
    def build(cls, ops: Ops, config: OptimizerConfig, declared: Mapping[str, Param]) -> Self:
        """Raises `ConfigError` for ``nesterov`` without momentum."""
        known_options(config)
        ahead = "False without momentum"
        require(config, "nesterov", ahead, ok=config.momentum > 0 or not config.nesterov)
        return cls(ops, config, declared)

    def init(self, params: Mapping[str, Array]) -> Tree:
        """Zeros, or nothing without momentum."""
        return {"momentum": zeros(self._ops, params)} if self._config.momentum else {}

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
        moved, buffers, rate = {}, {}, scalars["rate"]
        for name, p in params.items():
            u = grads[name] * scalars["grad_scale"]
            if self._config.momentum:
                u, buffers[name] = self._carried(u, state["momentum"][name])
            moved[name] = shrunk(self._ops, p, rate, self._decays[name]) - rate * u
        return moved, {"momentum": buffers} if buffers else {}

    def _carried(self, g: Array, buffer: Array) -> tuple[Array, Array]:
        """What is subtracted, and the new buffer."""
        mu = constant(self._ops, self._config.momentum, g)
        buffer = mu * buffer + g
        return (g + mu * buffer if self._config.nesterov else buffer), buffer
