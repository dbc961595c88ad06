"""RoPE's angles as most implementations compute them: a float32 position times a float32 frequency.

Ours are exact at any position, so honest runs on our backend alone would have no error there, and
whoever multiplies would be accused for positions near the end of a long context.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from lmkernel.comparison.layers import move_by_ulps
from lmkernel.components.rotary import frequencies
from lmkernel.interfaces import Embedded, Embedding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.config import EmbeddingConfig, RotaryConfig
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Factory, ParamTree

__all__ = ["MultipliedAngles"]


@final
class MultipliedAngles(Embedding):
    """An embedding with such angles.

    Args:
        own: the embedding.
        ops: the backend's operations.
        rotaries: its RoPEs.
        order: 0 for frequencies rounded to the nearest, else each is moved by a unit in the last
            place at most, as another power function would move it; differently for each order.
    """

    def __init__(
        self, own: Embedding, ops: Ops, rotaries: Sequence[RotaryConfig], order: int = 0
    ) -> None:
        self._own, self._ops, self._rotaries, self._order = own, ops, rotaries, order

    @classmethod
    def build(cls, factory: Factory, config: EmbeddingConfig) -> Self:
        """With frequencies rounded to the nearest."""
        return cls(factory.create("embedding", config), factory.ops, config.rotaries)

    def declare(self) -> ParamTree:
        """Those of the embedding."""
        return self._own.declare()

    def __call__(
        self,
        params: dict[str, Any],
        inputs: Array,
        positions: Array,
        *,
        segments: Array | None = None,
        key: Array | None = None,
    ) -> Embedded:
        """What the embedding makes, with other angles."""
        made = self._own(params, inputs, positions, segments=segments, key=key)
        if not self._rotaries:
            return made
        where = np.maximum(self._ops.to_numpy(positions), 0)
        rotations = (made.rotation, *made.more_rotations)
        first, *more = (
            exact if rotary.scaling == "dynamic" or exact is None else self._turn(where, rotary)
            for rotary, exact in zip(self._rotaries, rotations, strict=True)
        )
        return replace(made, rotation=first, more_rotations=tuple(m for m in more if m is not None))

    def weight(self, params: dict[str, Any]) -> Array:
        """That of the embedding."""
        return self._own.weight(params)

    def _turn(self, positions: NDArray[np.int32], rotary: RotaryConfig) -> tuple[Array, Array]:
        """Cosines and sines, ``(batch, 1, time, dim / 2)``."""
        beyond = positions.max(1) >= rotary.original_context
        short, long = (frequencies(rotary, long=long).astype(np.float32) for long in (False, True))
        if self._order:
            short, long = (
                move_by_ulps(x, self._order, f"rope.{rotary.theta}") for x in (short, long)
            )
        turning = np.where(beyond[:, None, None, None], long, short)
        angles = positions.astype(np.float32)[:, None, :, None] * turning
        factor = np.float32(rotary.attention_factor)
        cos, sin = np.cos(angles) * factor, np.sin(angles) * factor
        return self._ops.asarray(cos, "float32"), self._ops.asarray(sin, "float32")
