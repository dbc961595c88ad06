"""A decoder as one graph, in the names and shapes that other programs know.

Constraints: the inputs and results are those of Optimum's exports: token ids, the mask of what is
no padding, and for each layer the keys and values so far, which come back with the new ones behind
them. So a cache grows by concatenation here, that of a layer with a window, too.
"""

from __future__ import annotations

import dataclasses
from types import MappingProxyType
from typing import TYPE_CHECKING, final

import numpy as np
from onnx import helper

from lmkernel.composed import assemble
from lmkernel.errors import InputError
from lmkernel.model import Model
from lmkernel_onnx.graph import Graph
from lmkernel_onnx.ops import OnnxOps
from lmkernel_onnx.overrides import overrides
from lmkernel_onnx.tracing import is_array, lies_flipped
from lmkernel_onnx.values import Value, cast_to, node, transposed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Cache

__all__ = ["DecoderGraph", "require_exportable"]

_BATCH, _TIME, _PAST = 3, 5, 7
"""The example that a graph is traced with: extents that nothing else in a model has, hopefully; a
wrong guess is found when the file is tried with others."""
_LONG, _INT = np.dtype(np.int64), np.dtype(np.int32)
_CACHED: Mapping[str, str] = MappingProxyType(
    {
        "keys": "key",
        "values": "value",
        "recent_keys": "key",
        "recent_values": "value",
        "recent_latent": "latent",
    }
)
"""What a layer caches, and what it is called in the file."""
_RECENT = "recent_"
"""What caches of the newest slots alone begin with."""


def require_exportable(model: Model) -> None:
    """Raise `InputError` unless a model can be written as a `DecoderGraph`."""
    config = model.config
    if model.encoder is not None or model.decoder is None:
        kind = "an encoder" if model.decoder is None else "an encoder-decoder"
        raise InputError(f"export: expected a decoder, got {kind}")
    if config.sight is not None:
        raise InputError("export: expected a decoder of texts, got one that is shown pictures")
    if config.head is None or config.head.pooling != "none":
        raise InputError("export: expected a model with a score for each token, got one without")
    if any(rotary.depends_on_length for rotary in config.embedding.rotaries):
        raise InputError(
            "export: expected rotary positions that do not depend on the length of a row, "
            "got a scaling that turns the tokens before anew as a row grows"
        )
    state = model.begin({"decoder": None}, 1, 1).peek()
    layers = state.get("layers") if isinstance(state, dict) else None
    if not isinstance(layers, list) or any(set(cache) - set(_CACHED) for cache in layers):
        raise InputError(
            "export: expected layers of attention over keys and values, got others, "
            "such as a recurrent network's"
        )


@final
class DecoderGraph:
    """The graph of one decoder.

    Args:
        model: on the ONNX backend, and exportable.
        params: its parameters, packed.
    """

    def __init__(self, model: Model, params: Tree) -> None:
        mandatory = OnnxOps()
        ops = assemble(mandatory, {**overrides(mandatory), "cache_append": _append})
        backend = dataclasses.replace(model.backend, ops=ops)
        self._model, self._ops = Model(backend, model.config, model.policy), ops
        self.graph = Graph()
        self.outputs: list[Value] = []
        with backend:
            self._trace(_constants(self.graph, params), model.begin(params, _BATCH, 1).peek())

    @property
    def axes(self) -> Mapping[str, tuple[str | int, ...]]:
        """The names of extents, by the names of inputs and results."""
        named: dict[str, tuple[str | int, ...]] = {
            "input_ids": ("batch_size", "sequence_length"),
            "attention_mask": ("batch_size", "total_sequence_length"),
        }
        for value in (*self.graph.inputs[2:], *self.outputs):
            if value.name == "logits":
                named[value.name] = ("batch_size", "sequence_length", int(value.shape[2]))
                continue
            past = value.name.startswith("past")
            slots = "past_sequence_length" if past else "total_sequence_length"
            named[value.name] = ("batch_size", int(value.shape[1]), slots, int(value.shape[3]))
        return named

    def _trace(self, params: Tree, like: Tree) -> None:
        graph, ops, model = self.graph, self._ops, self._model
        if model.decoder is None:
            raise InputError("export: expected a decoder, got none")
        batch = graph.size("input_ids", 0, _BATCH)
        time = graph.size("input_ids", 1, _TIME)
        total = graph.size("attention_mask", 1, _PAST + _TIME)
        past = total - time
        ids = graph.input(_LONG, (batch, time), "input_ids")
        mask = graph.input(_LONG, (batch, total), "attention_mask")
        caches = [self._caches(i, cache, past) for i, cache in enumerate(like["layers"])]
        slots = self._positions(mask)
        positions = slots[:, past:]
        # a layer that keeps as many slots as it had has room for the new ones, and keeps all
        room = ops.full((batch, time), -1, "int32")
        recent = {size: ops.concat([room, slots[:, :past]], 1) for size in like["recent"]}
        caches = [
            {n: self._with_room(x, time) if n.startswith(_RECENT) else x for n, x in c.items()}
            for c in caches
        ]
        start = Value(graph, graph.sizes([past]), _LONG, (1,))
        embedded = model.embed_target(params, cast_to(ids, _INT), positions)
        hidden, after = model.decoder.step(
            params["decoder"],
            embedded,
            {"positions": slots, "layers": caches, "recent": recent},
            ops.reshape(cast_to(start, _INT), ()),
            extent=total,
        )
        self._name("logits", model.output(params, hidden, positions))
        for i, cache in enumerate(after["layers"]):
            for name, value in cache.items():
                self._name(f"present.{i}.{_CACHED[name]}", value)

    def _caches(self, layer: int, cache: Cache, past: int) -> dict[str, Value]:
        batch = self.graph.inputs[0].shape[0]
        values = {}
        for name, x in cache.items():
            shape = (batch, x.shape[1], past, x.shape[3])
            said = f"past_key_values.{layer}.{_CACHED[name]}"
            values[name] = self.graph.input(x.dtype, shape, said)
        return values

    def _with_room(self, cache: Value, time: int) -> Array:
        shape = (*cache.shape[:2], time, cache.shape[3])
        return self._ops.concat([self._ops.full(shape, 0.0, self._ops.dtype(cache)), cache], 2)

    def _positions(self, mask: Value) -> Value:
        """The position of each slot: how many tokens stand before it, -1 for padding."""
        counted = node("CumSum", [mask, np.array(1, _LONG)], _LONG, mask.shape)
        found = node("Where", [mask > 0, counted - 1, np.array(-1, _LONG)], _LONG, mask.shape)
        return cast_to(found, _INT)

    def _name(self, name: str, value: Value) -> None:
        """Make a value a result under a name."""
        self.graph.nodes.append(helper.make_node("Identity", [value.name], [name]))
        self.outputs.append(Value(self.graph, name, value.dtype, value.shape))


def _append(cache: Cache, keys: Array, values: Array, start: Array) -> Cache:
    """`cache_append`, to a cache that is full."""
    del start
    new = {"keys": keys, "values": values}
    shapes = {n: [*x.shape[:2], cache[n].shape[2] + x.shape[2], x.shape[3]] for n, x in new.items()}
    return {n: node("Concat", [cache[n], x], x.dtype, shapes[n], axis=2) for n, x in new.items()}


def _constants(graph: Graph, tree: Tree, name: str = "") -> Tree:
    """Parameters as values that the graph holds under their dotted names."""
    if isinstance(tree, dict):
        return {key: _constants(graph, x, f"{name}.{key}".lstrip(".")) for key, x in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_constants(graph, x, f"{name}.{i}") for i, x in enumerate(tree))
    if not is_array(tree):
        return tree
    flipped = lies_flipped(tree)
    host = tree.T if flipped else tree
    value = Value(graph, graph.constant(host, name), host.dtype, host.shape)
    return transposed(value) if flipped else value
