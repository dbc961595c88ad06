"""Dense layers, one after the other: the tutorial's encoder and decoder (section 2.4)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.components.primitives import activate, declare_linear
from lmkernel.interfaces import Decoder, Encoder, Memory, ParamTree, project

if TYPE_CHECKING:
    from lmkernel.config import FeedForwardConfig
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Embedded, Factory

__all__ = ["FeedForwardDecoder", "FeedForwardEncoder"]


def _declare(config: FeedForwardConfig) -> ParamTree:
    pairs = pairwise(config.widths)
    return {"layers": [declare_linear(n, m, ("mlp", "embed"), bias=config.bias) for m, n in pairs]}


def _run(ops: Ops, params: dict[str, Any], x: Array, config: FeedForwardConfig) -> Array:
    last = len(config.widths) - 2
    for i, layer in enumerate(params["layers"]):
        name = config.final_activation if i == last else config.activation
        x = activate(ops, project(ops, x, layer), name)
    return x


@final
class FeedForwardEncoder(Encoder):
    """Each position by itself through act(W·x + b)."""

    def __init__(self, ops: Ops, config: FeedForwardConfig) -> None:
        self._ops = ops
        self._config = config

    @classmethod
    def build(cls, factory: Factory, config: FeedForwardConfig) -> Self:
        return cls(factory.ops, config)

    def declare(self) -> ParamTree:
        return _declare(self._config)

    def __call__(
        self, params: dict[str, Any], inputs: Embedded, *, key: Array | None = None
    ) -> Memory:
        del key
        return Memory(_run(self._ops, params, inputs.hidden, self._config), inputs.positions)


@final
class FeedForwardDecoder(Decoder):
    """Maps a memory, or without one the inputs, position by position; it keeps no state."""

    def __init__(self, ops: Ops, config: FeedForwardConfig) -> None:
        self._ops = ops
        self._config = config

    @classmethod
    def build(cls, factory: Factory, config: FeedForwardConfig) -> Self:
        return cls(factory.ops, config)

    def declare(self) -> ParamTree:
        return _declare(self._config)

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
        return _run(self._ops, params, x, self._config)

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
        return _run(self._ops, params, inputs.hidden, self._config), state

    def grow(self, state: Tree, capacity: int) -> Tree:
        del capacity
        return state
