"""An optimizer from a plugin: its methods are run as a plugin's code, its answers are checked.

What goes wrong in one is reported by the optimizer's name; our own errors are answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.errors import LmkernelError, PluginError
from lmkernel.plugins.guard import plugin_code
from lmkernel.training.step.optimizers.optimizer import Optimizer

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array, Tree

__all__ = ["GuardedOptimizer"]

_RATE = "rate"


@final
class GuardedOptimizer(Optimizer):
    """An optimizer from a plugin.

    Args:
        own: what the plugin's class built.
        name: what it is registered under.

    Raises:
        PluginError: it built something else.
    """

    def __init__(self, own: object, name: str) -> None:
        self._what = f"optimizer {name!r}"
        if not isinstance(own, Optimizer):
            raise PluginError(f"{self._what}, build: expected Optimizer, got {type(own).__name__}")
        self._own: Any = own
        self.elementwise = bool(own.elementwise)  # type: ignore[misc]  # another class's own

    @classmethod
    def build(cls, *_: object) -> Self:
        """Never asked: the plugin's own class is."""
        raise AssertionError

    def init(self, params: Mapping[str, Array]) -> Tree:
        with self._code("init"):
            state: Tree = self._own.init(params)
        self._require("init", state, Mapping)
        return state

    def scalars(self, step: int, rate: float) -> dict[str, float]:
        with self._code("scalars"):
            found: dict[str, float] = self._own.scalars(step, rate)
        self._require("scalars", found, dict)
        if _RATE not in found:
            raise PluginError(f"{self._what}, scalars: expected {_RATE!r} among them, got none")
        for name, value in found.items():
            if not isinstance(value, Real) or not math.isfinite(value):
                raise PluginError(
                    f"{self._what}, scalars: {name}: expected a finite number, got {value!r:.60}"
                )
        return found

    def update(
        self,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        state: Tree,
        scalars: Mapping[str, Array],
    ) -> tuple[dict[str, Array], Tree]:
        shapes = {name: tuple(value.shape) for name, value in params.items()}
        with self._code("update"):
            made: tuple[dict[str, Array], Tree] = self._own.update(params, grads, state, scalars)
        self._require("update", made, tuple)
        if [isinstance(part, Mapping) for part in made] != [True, True]:
            raise PluginError(f"{self._what}, update: expected parameters and a state, got others")
        got = {name: tuple(getattr(value, "shape", ())) for name, value in made[0].items()}
        if got != shapes:
            other = next(n for n in (*shapes, *got) if shapes.get(n) != got.get(n))
            raise PluginError(
                f"{self._what}, update: {other}: expected the shape {shapes.get(other)}, "
                f"got {got.get(other)}"
            )
        return made

    def _code(self, method: str) -> Any:
        return plugin_code(f"{self._what}, {method}", LmkernelError)

    def _require(self, method: str, found: object, kind: type) -> None:
        if not isinstance(found, kind):
            got = type(found).__name__
            raise PluginError(f"{self._what}, {method}: expected {kind.__name__}, got {got}")
