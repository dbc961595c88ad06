"""Dense layers, one after the other: the tutorial's encoder and decoder (section 2.4)."""

from __future__ import annotations

from abc import ABC
from itertools import pairwise
from typing import TYPE_CHECKING, Any, final

from lmkernel.components.configured import Configured
from lmkernel.components.primitives import activate, declare_linear
from lmkernel.config import FeedForwardConfig
from lmkernel.interfaces import Decoder, Encoder, Memory, ParamTree, project

if TYPE_CHECKING:
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.interfaces import Embedded

__all__ = ["FeedForwardDecoder", "FeedForwardEncoder"]


class _FeedForward(Configured[FeedForwardConfig], ABC):
    """The layers, and how they follow one another."""

    def declare(self) -> ParamTree:
        pairs, bias = pairwise(self._config.widths), self._config.bias
        return {"layers": [declare_linear(n, m, ("mlp", "embed"), bias=bias) for m, n in pairs]}

    def _run(self, params: dict[str, Any], x: Array) -> Array:
        ops, config = self._ops, self._config
        last = len(config.widths) - 2
        for i, layer in enumerate(params["layers"]):
            name = config.final_activation if i == last else config.activation
            x = activate(ops, project(ops, x, layer), name)
        return x


@final
class FeedForwardEncoder(_FeedForward, Encoder):
    """Each position by itself through act(W·x + b)."""

    def __call__(
        self, params: dict[str, Any], inputs: Embedded, *, key: Array | None = None
    ) -> Memory:
        del key
        return Memory(self._run(params, inputs.hidden), inputs.positions)


@final
class FeedForwardDecoder(_FeedForward, Decoder):
    """Maps a memory, or without one the inputs, position by position; it keeps no state."""

    def __call__(
        self,
        params: dict[str, Any],
        inputs: Embedded,
        *,
        memory: Memory | None = None,
        key: Array | None = None,
    ) -> Array:
        del key
        x = inputs.hidden if memory is None else memory.hidden
        return self._run(params, x)

    def start(
        self,
        params: dict[str, Any],
        batch: int,
        capacity: int,
        dtype: DType,
        *,
        memory: Memory | None = None,
    ) -> Tree:
        del params, batch, capacity, dtype, memory
        return {}

    def step(
        self, params: dict[str, Any], inputs: Embedded, state: Tree, start: Array, *, extent: int
    ) -> tuple[Array, Tree]:
        del start, extent
        return self._run(params, inputs.hidden), state

    def grow(self, state: Tree, capacity: int) -> Tree:
        del capacity
        return state
