"""An optimizer from a plugin: its methods are run as a plugin's code, its answers are checked.

What goes wrong in one is reported by the optimizer's name; our own errors are answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

from lmkernel.errors import shown
from lmkernel.parameters import flatten
from lmkernel.plugins.guarded import Guarded
from lmkernel.training.step.optimizers.optimizer import Optimizer

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array, Tree

__all__ = ["GuardedOptimizer"]

_RATE = "rate"
_Extents = Mapping[str, tuple[Any, Any]]


@final
class GuardedOptimizer(Guarded, Optimizer):
    """An optimizer from a plugin.

    Args:
        own: what the plugin's class built.
        name: what it is registered under.

    Raises:
        PluginError: it built something else.
    """

    guarded: ClassVar[type] = Optimizer

    def __init__(self, own: Any, name: str) -> None:
        super().__init__(own, f"optimizer {name!r}")
        self.elementwise = bool(own.elementwise)  # type: ignore[misc]  # another class's own

    @classmethod
    def build(cls, *_: object) -> Self:
        """Never asked: the plugin's own class is."""
        raise AssertionError

    def init(self, params: Mapping[str, Array]) -> Tree:
        state: Tree = self._ask("init", Mapping, params)
        return state

    def scalars(self, step: int, rate: float) -> dict[str, float]:
        found: dict[str, float] = self._ask("scalars", dict, step, rate)
        if _RATE not in found:
            raise self._error("scalars", f"expected {_RATE!r} among them, got none")
        for name, value in found.items():
            if not isinstance(value, Real) or not math.isfinite(value):
                got = shown(value)
                raise self._error("scalars", f"{name}: expected a finite number, got {got}")
        return found

    def update(
        self,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        state: Tree,
        scalars: Mapping[str, Array],
    ) -> tuple[dict[str, Array], Tree]:
        expected = _extents(params), _extents(flatten(state))
        made: tuple[dict[str, Array], Tree]
        made = self._ask("update", tuple, params, grads, state, scalars)
        if [isinstance(part, Mapping) for part in made] != [True, True]:
            raise self._error("update", "expected parameters and a state, got others")
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
                    raise self._error("update", text)


def _extents(values: Mapping[str, Any]) -> _Extents:
    """The shape and the dtype of each array, by name."""
    return {
        name: (tuple(getattr(value, "shape", ())), str(getattr(value, "dtype", "")))
        for name, value in values.items()
    }
