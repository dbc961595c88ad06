"""An optimizer from a plugin: its methods are run as a plugin's code, its answers are checked.

What goes wrong in one is reported by the optimizer's name; our own errors are answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.errors import LmkernelError, PluginError
from lmkernel.parameters import flatten
from lmkernel.plugins.guard import plugin_code
from lmkernel.training.step.optimizers.optimizer import Optimizer

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array, Tree

__all__ = ["GuardedOptimizer"]

_RATE = "rate"
_Extents = Mapping[str, tuple[Any, Any]]


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
        expected = _extents(params), _extents(flatten(state))
        with self._code("update"):
            made: tuple[dict[str, Array], Tree] = self._own.update(params, grads, state, scalars)
        self._require("update", made, tuple)
        if [isinstance(part, Mapping) for part in made] != [True, True]:
            raise PluginError(f"{self._what}, update: expected parameters and a state, got others")
        self._compare("", expected[0], _extents(made[0]))
        self._compare("state: ", expected[1], _extents(flatten(made[1])))
        return made

    def _compare(self, what: str, expected: _Extents, got: _Extents) -> None:
        """Refuse other arrays than there were, all of which a next step or a checkpoint needs."""
        for name in (*expected, *got):
            for i, part in enumerate(("shape", "dtype")):
                want, have = (extents.get(name, (None, None))[i] for extents in (expected, got))
                if want != have:
                    text = f"{what}{name}: expected the {part} {want}, got {have}"
                    raise PluginError(f"{self._what}, update: {text}")

    def _code(self, method: str) -> Any:
        return plugin_code(f"{self._what}, {method}", LmkernelError)

    def _require(self, method: str, found: object, kind: type) -> None:
        if not isinstance(found, kind):
            got = type(found).__name__
            raise PluginError(f"{self._what}, {method}: expected {kind.__name__}, got {got}")


def _extents(values: Mapping[str, Any]) -> _Extents:
    """The shape and the dtype of each array, by name."""
    return {
        name: (tuple(getattr(value, "shape", ())), str(getattr(value, "dtype", "")))
        for name, value in values.items()
    }
