"""Which of a model's parameters are trained, and how a whole model is made of the two parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.contract.capabilities import FLOATING
from lmkernel.parameters import flatten, nest
from lmkernel.training.step.adapters import Adapters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.interfaces import Param
    from lmkernel.model import Model
    from lmkernel.training.config import LoraConfig

__all__ = ["Parts"]

Values = dict[str, "NDArray[Any]"]


@final
class Parts:
    """All parameters are trained; or, with adapters, none of them, but the adapters are.

    Args:
        model: whose parameters they are.
        lora: the adapters, or None.
        seed: of the adapters' first values.
    """

    def __init__(self, model: Model, lora: LoraConfig | None, seed: int) -> None:
        self._model = model
        self._seed = seed
        self._declared = model.declare()
        self._adapters = Adapters(self._declared, lora) if lora else None

    def declare(self) -> dict[str, Param]:
        """What is trained, flat."""
        return self._adapters.declare() if self._adapters else flatten(self._declared)

    def split(self, values: Mapping[str, NDArray[Any]]) -> tuple[Values, Values]:
        """(trainable, frozen) host values before the first step."""
        if self._adapters is None:
            return dict(values), {}
        return dict(self._adapters.initial(self._seed)), dict(values)

    def join(self, trainable: Mapping[str, Array], frozen: Mapping[str, Array]) -> Tree:
        """The model's nested parameters in its compute dtype; pure, gradients flow through."""
        ops, dtype = self._model.backend.ops, self._model.policy.compute
        narrow = {
            name: x
            if ops.dtype(x) == dtype or ops.dtype(x) not in FLOATING
            else ops.astype(x, dtype)
            for name, x in (*frozen.items(), *trainable.items())
        }
        params = nest(self._declared, narrow)
        if self._adapters is not None:
            self._adapters.insert(ops, params, narrow)
        return params

    def merged(
        self, trainable: Mapping[str, NDArray[Any]], frozen: Mapping[str, NDArray[Any]]
    ) -> Values:
        """The whole model's host values."""
        if self._adapters is None:
            return dict(trainable)
        return self._adapters.merged(frozen, trainable)
