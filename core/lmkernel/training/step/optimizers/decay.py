"""Decoupled weight decay: weights decay, biases and normalisations do not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

from lmkernel.composed.precision import constant
from lmkernel.training.step.optimizers.optimizer import Optimizer, require_known_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Param
    from lmkernel.training.config import OptimizerConfig

__all__ = ["DecayingOptimizer", "SeparateOptimizer", "decayed", "shrink"]


def decayed(name: str, param: Param) -> bool:
    """Whether weight decay applies: not to a bias, nor to what has one axis, as norms have."""
    return len(param.shape) > 1 and name.rpartition(".")[2] != "bias"


def shrink(ops: Ops, p: Array, rate: Array, decay: float) -> Array:
    """``p - rate · decay · p``, decoupled from the gradient (arXiv:1711.05101, eq. 12)."""
    return p - p * (rate * constant(ops, decay, p)) if decay else p


class DecayingOptimizer(Optimizer, ABC):
    """An optimizer with decoupled weight decay; by default the learning rate alone varies.

    By default it keeps an array in each of `slots` for each parameter, in its shape.

    Args:
        ops: operations of the backend.
        config: its settings; ``options`` are free ones, of which it knows those in `options`.
        declared: the parameters by dotted name.
    """

    options: ClassVar[tuple[str, ...]] = ()
    slots: ClassVar[tuple[str, ...]] = ()

    def __init__(self, ops: Ops, config: OptimizerConfig, declared: Mapping[str, Param]) -> None:
        self._ops, self._config = ops, config
        own = config.weight_decay
        self._decays = {name: own if decayed(name, p) else 0.0 for name, p in declared.items()}

    @classmethod
    def build(cls, ops: Ops, config: OptimizerConfig, declared: Mapping[str, Param]) -> Self:
        """Raises `ConfigError` for an option that is not known."""
        require_known_options(config, cls.options)
        return cls(ops, config, declared)

    def init(self, params: Mapping[str, Array]) -> Tree:
        """Zeros."""
        state: dict[str, dict[str, Array]] = {}
        for name, p in params.items():
            for slot, shape in self._slots(name, tuple(p.shape)).items():
                state.setdefault(slot, {})[name] = self._ops.full(shape, 0.0, self._ops.dtype(p))
        return state

    def scalars(self, step: int, rate: float) -> dict[str, float]:
        """The learning rate."""
        del step
        return {"rate": rate}

    def _slots(self, name: str, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        """What is kept of a parameter of this name and shape, and in which shape."""
        del name
        return dict.fromkeys(self.slots, shape)


class SeparateOptimizer(DecayingOptimizer, ABC):
    """One in which no parameter's step depends on another."""

    def update(
        self,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        state: Tree,
        scalars: Mapping[str, Array],
    ) -> tuple[dict[str, Array], Tree]:
        """Parameter by parameter: it decays, then takes its step."""
        new: dict[str, Array] = {}
        after: dict[str, dict[str, Array]] = {}
        for name, p in params.items():
            own = {slot: arrays[name] for slot, arrays in state.items() if name in arrays}
            step, own = self._step(p, grads[name] * scalars["grad_scale"], own, scalars)
            new[name] = shrink(self._ops, p, scalars["rate"], self._decays[name]) - step
            for slot, array in own.items():
                after.setdefault(slot, {})[name] = array
        return new, after

    @abstractmethod
    def _step(
        self, p: Array, g: Array, own: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        """What is subtracted from ``p`` for the gradient ``g``, and what is kept by slot."""
