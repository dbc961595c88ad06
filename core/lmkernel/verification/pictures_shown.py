"""The vectors of pictures that a decoder is shown, by runs of the tower and of what follows it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.comparison.layers import move_by_ulps
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import Embedded
from lmkernel.model.sight import Sight
from lmkernel.parameters import flatten, pack
from lmkernel.verification.one_run import Input, LayeredModel, Run, Variant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.config import SightConfig
    from lmkernel.contract.capabilities import DType
    from lmkernel.verification.part import Part

__all__ = ["SHOWN", "ShownPictures"]

SHOWN = "pictures"
"""The vectors that stand among a decoder's; names of the tower's activations begin with it."""


@final
class ShownPictures:
    """The pictures of some inputs on one model, in one order of rounding or several.

    Args:
        part: what is verified, with pictures shown.
        sight: how.
        inputs: each with its pictures.
        dtype: of the computation.
        variant: what is changed.
        orders: of the rounding.
        parts: whether what stands inside a layer is computed too.
    """

    def __init__(
        self,
        part: Part,
        sight: SightConfig,
        inputs: Sequence[Input],
        dtype: DType,
        variant: Variant,
        orders: Sequence[int] = (0,),
        *,
        parts: bool = True,
    ) -> None:
        tower = part.tower(sight)
        own = replace(variant, config=tower.config, layer_of=None)
        pictures = [_alone(one) for one in inputs]
        self._model = LayeredModel(tower, pictures, dtype, own)
        self._orders = [order for order in orders for _ in inputs]
        self._runs = [
            Run(self._model, one, order, parts=parts) for order in orders for one in pictures
        ]
        backend = self._model.model.backend
        self._sight = Sight(ComponentFactory(backend), sight)
        declared = self._sight.declare()["connector"]
        names = [f"connector.{name}" for name in flatten(declared)]
        values = part.weights(names)
        changed = values if variant.change is None else variant.change(values)
        given = {name.removeprefix("connector."): x for name, x in changed.items()}
        self._connector = pack(backend.ops, declared, given, dtype)

    def go(self) -> Iterator[list[tuple[str, NDArray[Any]]]]:
        """The tower's activations, of all runs at a time, by name on the host."""
        for made in zip(*(run.go() for run in self._runs), strict=True):
            yield [(f"{SHOWN} {name}", x) for name, x in made]

    def vectors(self) -> list[NDArray[Any]]:
        """Of each run ``(batch, count, width)`` on the host, once the tower has run."""
        return [self._vectors(*pair) for pair in zip(self._runs, self._orders, strict=True)]

    def _vectors(self, run: Run, order: int) -> NDArray[Any]:
        ops = self._model.model.backend.ops
        embedded = Embedded(run.last, run.positions)
        made = np.asarray(
            ops.to_numpy(self._sight.connect({"connector": self._connector}, embedded))
        )
        return move_by_ulps(made, order, SHOWN) if order else made


def _alone(one: Input) -> Input:
    """The pictures of an input, without its tokens."""
    if one.pictures is None:
        raise AssertionError("expected pictures, which the caller has looked for")
    nothing = np.zeros((len(one.pictures), 0), np.int32)
    return Input(nothing, nothing, source=one.pictures)
