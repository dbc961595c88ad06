"""Transformer stacks (arXiv:1706.03762, §3.1): encoder, and decoder with a KV cache or a memory."""

from __future__ import annotations

from abc import ABC
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.components.balance import balance_loss
from lmkernel.components.layer import TransformerLayer
from lmkernel.components.positions import linear_biases, relative_biases, visible
from lmkernel.components.primitives import declare_norm, normalize
from lmkernel.components.recent import Recent, lengthen
from lmkernel.composed.precision import constant
from lmkernel.config import DisentangledConfig, RelativeConfig
from lmkernel.contract.capabilities import WIDE
from lmkernel.interfaces import Component, Decoder, Encoder, Memory, ParamTree, View

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.config import TransformerConfig
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Embedded, Factory

__all__ = ["TransformerDecoder", "TransformerEncoder", "memory_view", "whole_view"]


def whole_view(ops: Ops, config: TransformerConfig, inputs: Embedded) -> View:
    """Who sees whom in one layer, where every position is in the inputs."""
    return _view(ops, config, inputs, inputs.positions, causal=config.causal)


def _view(
    ops: Ops, layer: TransformerConfig, inputs: Embedded, keys: Array, *, causal: bool, **slots: Any
) -> View:
    queries, c = inputs.positions, layer.attention
    mask = visible(ops, queries, keys, causal=causal, window=c.window)
    bias, narrow = None, ops.dtype(inputs.hidden)
    wide = WIDE.get(narrow, narrow)
    distances = inputs.relative if isinstance(c.relative, DisentangledConfig) else None
    if isinstance(c.relative, RelativeConfig):
        table = ops.astype(inputs.relative_of(c.relative.table), wide)
        bias = relative_biases(ops, queries, keys, table, c.relative, causal=causal)
    if c.alibi:
        bias = linear_biases(ops, queries, keys, c.heads, c.alibi, wide)
    rotation = inputs.rotation_of(c.rotary)
    return View(queries, keys, mask, rotation, bias=bias, distances=distances, **slots)


@final
class _Views:
    """The view of each layer; layers that see alike share one, since it follows from positions."""

    def __init__(self, make: Callable[[TransformerConfig, int | None], View]) -> None:
        self._make = make
        self._made: dict[tuple[Any, ...], View] = {}

    def of(self, layer: TransformerConfig, recent: int | None = None) -> View:
        c = layer.attention
        alike = (c.window, c.rotary, c.alibi, c.relative, recent)
        if alike not in self._made:
            self._made[alike] = self._make(layer, recent)
        return self._made[alike]


def memory_view(ops: Ops, query_positions: Array, key_positions: Array) -> View:
    """A target looks at every real position of the source; int32 ``(batch, time)`` both."""
    mask = visible(ops, query_positions, key_positions, causal=False)
    return View(query_positions, key_positions, mask)


class _Transformer(Component, ABC):
    """The layers, and the last normalisation."""

    def __init__(self, factory: Factory, config: TransformerConfig) -> None:
        self._ops: Ops = factory.ops
        self._config = config
        self._configs = [config.layer(i) for i in range(config.layers)]
        self._layers = [TransformerLayer(factory, own, i) for i, own in enumerate(self._configs)]

    @classmethod
    def build(cls, factory: Factory, config: TransformerConfig) -> Self:
        return cls(factory, config)

    def declare(self) -> ParamTree:
        sets = self._layers[: self._config.sets or None]
        tree: dict[str, Any] = {"layers": [layer.declare() for layer in sets]}
        if self._config.final_norm:
            tree["norm"] = declare_norm(self._config.width, self._config.norm)
        return tree

    def _finish(self, params: dict[str, Any], x: Array) -> Array:
        if not self._config.final_norm:
            return x
        return normalize(self._ops, x, params["norm"], self._config.norm)

    def _run(
        self,
        params: dict[str, Any],
        inputs: Embedded,
        memory: Memory | None,
        key: Array | None,
        routed: list[Array] | None = None,
    ) -> Array:
        views, x = _Views(lambda layer, _: whole_view(self._ops, layer, inputs)), inputs.hidden
        across = memory and memory_view(self._ops, inputs.positions, memory.positions)
        source = memory and memory.hidden
        parts = zip(self._configs, self._layers, self._config.own(params["layers"]), strict=True)
        for config, layer, weights in parts:
            view = views.of(config)

            # What a gradient may flow through is an argument, not a closure: gradient checkpointing
            # keeps the arguments and computes the rest again.
            def apply(
                weights: Tree,
                x: Array,
                source: Array | None,
                given: tuple[Array | None, Array | None],
                layer: TransformerLayer = layer,
                view: View = view,
            ) -> tuple[Array, tuple[Array, ...]]:
                own: list[Array] | None = None if routed is None else []
                keys_values = None if source is None else layer.remember(weights, source)
                view = replace(view, bias=given[0], distances=given[1])
                x, _ = layer(
                    weights, x, view, memory=keys_values, across=across, key=key, routed=own
                )
                return x, tuple(own or ())

            x, logits = (self._ops.remat(apply) if self._config.remat else apply)(
                weights, x, source, (view.bias, view.distances)
            )
            if routed is not None:
                routed.extend(logits)
        return self._finish(params, x)


@final
class TransformerEncoder(_Transformer, Encoder):
    """Layers in which every position sees every other, unless configured causal."""

    def __call__(
        self, params: dict[str, Any], inputs: Embedded, *, key: Array | None = None
    ) -> Memory:
        return Memory(self._run(params, inputs, None, key), inputs.positions)


@final
class TransformerDecoder(_Transformer, Decoder):
    """Causal layers, with cross-attention to the encoder's output where there is one."""

    def __call__(
        self,
        params: dict[str, Any],
        inputs: Embedded,
        *,
        memory: Memory | None = None,
        key: Array | None = None,
    ) -> Array:
        return self._run(params, inputs, memory, key)

    def with_balance(
        self,
        params: dict[str, Any],
        inputs: Embedded,
        *,
        memory: Memory | None = None,
        key: Array | None = None,
    ) -> tuple[Array, Array | None]:
        experts = self._config.mlp.experts
        if experts is None or not experts.balance:
            return self(params, inputs, memory=memory, key=key), None
        routed: list[Array] = []
        hidden = self._run(params, inputs, memory, key, routed)
        uneven = balance_loss(self._ops, routed, inputs.positions, experts.chosen)
        return hidden, uneven * constant(self._ops, experts.balance, uneven)

    def start(
        self,
        params: dict[str, Any],
        batch: int,
        capacity: int,
        dtype: DType,
        *,
        memory: Memory | None = None,
    ) -> Tree:
        """An empty KV cache for each layer, the positions in its slots, and the memory's keys.

        The positions are the same for all layers, so they are kept once.
        """
        state: dict[str, Any] = {
            "positions": self._ops.full((batch, capacity), -1, "int32"),
            "layers": [layer.cache(batch, capacity, dtype) for layer in self._layers],
            "recent": {
                str(size): self._ops.full((batch, min(capacity, size or capacity)), -1, "int32")
                for size in {layer.recent for layer in self._layers}
                if size is not None
            },
        }
        if memory is not None:
            pairs = zip(self._layers, self._config.own(params["layers"]), strict=True)
            # the source does not change while the target is written: its keys and values are
            # projected once, not at every step
            state["memory"] = [layer.remember(weights, memory.hidden) for layer, weights in pairs]
            state["memory_positions"] = memory.positions
        return state

    def step(
        self, params: dict[str, Any], inputs: Embedded, state: Tree, start: Array, *, extent: int
    ) -> tuple[Array, Tree]:
        ops = self._ops
        # New positions are written before the mask is made from them. A slot that is not written
        # yet, and one that holds padding, have position -1 and mask themselves.
        slot_positions = ops.cache_update(state["positions"], inputs.positions, start, 1)
        # slots behind the extent are empty; leaving them out makes a step cost what is in use, not
        # what there is room for
        key_positions = slot_positions[:, :extent]
        slots = {"start": start, "extent": extent}
        recents = {
            size: Recent(ops, before, inputs.positions, extent)
            for size, before in state["recent"].items()
        }

        def view_of(layer: TransformerConfig, recent: int | None) -> View:
            if recent is None:
                return _view(ops, layer, inputs, key_positions, causal=True, **slots)
            kept = recents[str(recent)]
            return _view(ops, layer, inputs, kept.seen, causal=True, kept=kept.kept)

        views = _Views(view_of)
        memories = state.get("memory", [None] * len(self._layers))
        across = None
        if "memory" in state:
            across = memory_view(ops, inputs.positions, state["memory_positions"])
        own_weights = self._config.own(params["layers"])
        x, caches = inputs.hidden, []
        for own, layer, weights, keys_values, cache in zip(
            self._configs, self._layers, own_weights, memories, state["layers"], strict=True
        ):
            view = views.of(own, layer.recent)
            x, cache = layer(weights, x, view, memory=keys_values, across=across, cache=cache)  # noqa: PLW2901 - the old cache is consumed
            caches.append(cache)
        kept = {size: recent.positions for size, recent in recents.items()}
        after = {**state, "positions": slot_positions, "layers": caches, "recent": kept}
        return self._finish(params, x), after

    def grow(self, state: Tree, capacity: int) -> Tree:
        ops, positions = self._ops, state["positions"]
        batch, slots = positions.shape
        more = ops.full((batch, capacity - slots), -1, "int32")
        return {
            **state,
            "positions": ops.concat([positions, more], 1),
            "layers": [
                layer.grow(cache, capacity)
                for layer, cache in zip(self._layers, state["layers"], strict=True)
            ],
            "recent": {
                size: lengthen(ops, kept, min(capacity, int(size) or capacity), 1, -1)
                for size, kept in state["recent"].items()
            },
        }
