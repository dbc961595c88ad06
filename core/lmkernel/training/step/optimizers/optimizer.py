"""The interface of an optimizer: pure over parameters by dotted name.

Constraints: what varies from step to step and is no array, such as the learning rate and the
corrections of a running mean, is computed on the host in float64 by `scalars` and comes back to
`update` as 0-d arrays, so that a compiled step never compiles twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Param
    from lmkernel.training.config import OptimizerConfig

__all__ = ["Optimizer"]


class Optimizer(ABC):
    """Turns gradients into new parameters; found by the name that it is registered under."""

    @classmethod
    @abstractmethod
    def build(cls, ops: Ops, config: OptimizerConfig, declared: Mapping[str, Param]) -> Self:
        """The optimizer for the declared parameters, by dotted name.

        Raises:
            ConfigError: the configuration asks for what this kind cannot do.
        """

    @abstractmethod
    def init(self, params: Mapping[str, Array]) -> Tree:
        """The state before the first step: non-empty mappings by dotted name, all arrays."""

    @abstractmethod
    def scalars(self, step: int, rate: float) -> dict[str, float]:
        """The numbers of one step, on the host; ``step`` counts from 1, ``"rate"`` is among them.

        ``"grad_scale"`` is not: it is the caller's.
        """

    @abstractmethod
    def update(
        self,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        state: Tree,
        scalars: Mapping[str, Array],
    ) -> tuple[dict[str, Array], Tree]:
        """The new parameters, and a state of the same structure; all but ``scalars`` is consumed.

        Pure and without branches on data, so that it can be compiled. Gradients are in the dtype
        of the parameters. What `scalars` gave comes as 0-d arrays of that dtype, and with it
        ``"grad_scale"``, by which every gradient is to be multiplied: clipping and the mean over
        targets are in it, so that they need no pass of their own.
        """
