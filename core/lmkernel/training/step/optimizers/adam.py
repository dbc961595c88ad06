"""Adam (arXiv:1412.6980, alg. 1), and AdamW, its form with decoupled decay (arXiv:1711.05101).

Constraint: ε is added to the root of the corrected second moment, outside the root.
"""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.config.check import require
from lmkernel.training.step.optimizers.decay import DecayingOptimizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Param
    from lmkernel.training.config import OptimizerConfig

__all__ = ["Adam", "AdamW"]


class _AdamUpdate(DecayingOptimizer, ABC):
    """`Ops.adam_update` over all parameters. State: ``"m"`` and ``"v"``."""

    elementwise = True
    slots = ("m", "v")

    def scalars(self, step: int, rate: float) -> dict[str, float]:
        """The learning rate, the step, and the corrections of both moments."""
        return {
            "rate": rate,
            "step": float(step),
            "first_scale": 1 / (1 - self._config.beta1**step),
            "second_scale": 1 / (1 - self._config.beta2**step),
        }

    def update(
        self,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        state: Tree,
        scalars: Mapping[str, Array],
    ) -> tuple[dict[str, Array], Tree]:
        """All parameters in one call, so that a backend can fuse them."""
        names, config = list(params), self._config
        trees = (params, grads, state["m"], state["v"])
        p, g, first, second = ([tree[name] for name in names] for tree in trees)
        results = self._ops.adam_update(
            p,
            g,
            first,
            second,
            scalars,
            beta1=config.beta1,
            beta2=config.beta2,
            eps=config.eps,
            decays=[self._decays[name] for name in names],
        )
        new, m, v = (dict(zip(names, arrays, strict=True)) for arrays in results)
        return new, {"m": m, "v": v}


@final
class AdamW(_AdamUpdate):
    """Adam whose weights decay."""

    @classmethod
    def usual(cls) -> Mapping[str, Any]:
        return {"weight_decay": 0.01}


@final
class Adam(_AdamUpdate):
    """`AdamW` without weight decay.

    A decay is refused: added to the gradient, as Adam has it, it would be another algorithm.
    """

    @classmethod
    def build(cls, ops: Ops, config: OptimizerConfig, declared: Mapping[str, Param]) -> Self:
        """Raises `ConfigError` for a weight decay."""
        expected = "0 for kind 'adam'; 'adamw' has decoupled decay"
        require(config, "weight_decay", expected, ok=config.weight_decay == 0)
        return super().build(ops, config, declared)
