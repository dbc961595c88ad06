"""A model run place by place: its embedding, inside and after each layer, its norm, its head.

Constraints: nothing is hooked, wrapped or patched. A stack of n layers is n stacks of one, so each
layer is a component of its own from the factory, called with its part of the parameters; a
backend's own components are what runs. What stands inside a layer is computed beside it, from the
same input, and goes no further. All of it runs as `lmkernel.model.Model.forward` does: uncompiled,
without a cache.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.components.layer import TransformerLayer
from lmkernel.components.parts import normalize
from lmkernel.components.transformer import memory_view, whole_view
from lmkernel.config import FeedForwardConfig, RecurrentConfig, TransformerConfig
from lmkernel.errors import InputError
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import Memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmkernel.config import StackConfig
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Embedded
    from lmkernel.model import Model
    from lmkernel.plugins.registry import Registry

    Move = Callable[[str, Array], Array]

__all__ = ["places"]


def places(
    model: Model,
    params: Tree,
    inputs: Array,
    *,
    target: Array | None = None,
    moved: Move = lambda _, x: x,
    registry: Registry | None = None,
) -> Iterator[tuple[str, Array]]:
    """Every place by name, in the order in which a model is run; inside the backend's scope.

    The names are ``embedding``, ``layer N (attention)``, ``layer N (cross-attention)``,
    ``layer N (feed-forward)`` or ``layer N``, ``final norm`` and ``logits``; N counts from 0, as
    parameters do. Where there are an encoder and a decoder, theirs begin with the word.

    Args:
        model: any composition of stacks.
        params: from `Model.pack` or `Model.place`.
        inputs: int32 ``(batch, time)``, or vectors ``(batch, time, width)``; nothing is padding.
        target: what an encoder-decoder's decoder is fed.
        moved: called with the name and the value of each place that the next one is computed from;
            the next one is computed from what it returns.
        registry: where kinds from plugins are found.

    Raises:
        InputError: a stack that is not made of layers.
    """
    run = _Run(model, params, ComponentFactory(model.backend, registry), moved)
    yield from run.embedded("embedding", inputs, target=False)
    both = model.encoder is not None and model.decoder is not None
    if model.config.encoder is not None:
        yield from run.encoded(model.config.encoder, "encoder " if both else "")
    if both and target is not None:
        yield from run.embedded("decoder embedding", target, target=True)
    if model.config.decoder is not None:
        yield from run.decoded(model.config.decoder, "decoder " if both else "")
    if model.config.head is not None:
        yield "logits", run.logits()


@final
class _Run:
    """Where a run has come to: the hidden vectors, what a stack begins with, and the memory."""

    def __init__(self, model: Model, params: Tree, factory: ComponentFactory, moved: Move) -> None:
        self._model, self._params, self._factory, self._moved = model, params, factory, moved
        self._ops: Ops = model.backend.ops
        self._now: Embedded
        self._source: Embedded
        self._memory: Memory | None = None

    def embedded(self, name: str, inputs: Array, *, target: bool) -> Iterator[tuple[str, Array]]:
        """The vectors of the inputs, or of the target."""
        embed = self._model.embed_target if target else self._model.embed
        self._now = embed(self._params, inputs)
        yield self._at(name, self._now.hidden)
        self._source = self._now

    def encoded(self, config: StackConfig, prefix: str) -> Iterator[tuple[str, Array]]:
        """The encoder's places; what it makes is the memory from there on."""
        states: list[Tree] = []
        for i, (layer, own) in enumerate(_layers(config, self._params["encoder"])):
            yield from self._inside(layer, own, f"{prefix}layer {i}")
            made = self._factory.create("encoder", layer)({"layers": [own]}, self._now)
            states += made.state or []
            yield self._at(_after(layer, f"{prefix}layer {i}"), made.hidden)
        yield from self._finished(config, self._params["encoder"], prefix)
        self._memory = Memory(self._now.hidden, self._now.positions, states or None)

    def decoded(self, config: StackConfig, prefix: str) -> Iterator[tuple[str, Array]]:
        """The decoder's places, looking at the memory where there is one."""
        self._now = self._source
        for i, (layer, own) in enumerate(_layers(config, self._params["decoder"])):
            memory = self._memory and _share(self._memory, layer, i)
            yield from self._inside(layer, own, f"{prefix}layer {i}")
            made = self._factory.create("decoder", layer)
            hidden = made({"layers": [own]}, self._now, memory=memory)
            yield self._at(_after(layer, f"{prefix}layer {i}"), hidden)
        yield from self._finished(config, self._params["decoder"], prefix)

    def logits(self) -> Array:
        """The output of the head."""
        return self._model.output(self._params, self._now.hidden, self._now.positions)

    def _at(self, name: str, hidden: Array) -> tuple[str, Array]:
        """Name a place, and go on from it."""
        self._now = replace(self._now, hidden=self._moved(name, hidden))
        return name, hidden

    def _inside(self, layer: StackConfig, own: Tree, name: str) -> Iterator[tuple[str, Array]]:
        """After attention, and after attention over the memory."""
        if not isinstance(layer, TransformerConfig):
            return
        ops, now, memory = self._ops, self._now, self._memory
        beside = TransformerLayer(self._factory, layer, 0)
        x, _ = beside.attend(own, now.hidden, whole_view(ops, layer, now))
        yield f"{name} (attention)", x
        if layer.cross is not None and memory is not None:
            across = memory_view(ops, now.positions, memory.positions)
            kept = beside.remember(own, memory.hidden)
            yield f"{name} (cross-attention)", beside.look(own, x, across, kept)

    def _finished(
        self, config: StackConfig, params: Tree, prefix: str
    ) -> Iterator[tuple[str, Any]]:
        if isinstance(config, TransformerConfig) and config.final_norm:
            hidden = normalize(self._ops, self._now.hidden, params["norm"], config.norm)
            yield self._at(f"{prefix}final norm", hidden)


def _layers(config: StackConfig, params: Tree) -> Iterator[tuple[StackConfig, Tree]]:
    """Each layer as a stack of its own, with its parameters."""
    cut = _cut(config)
    own = params.get("layers") if isinstance(params, dict) else None
    if cut is None or not isinstance(own, list) or len(own) != len(cut):
        raise InputError(
            "expected a stack of transformer, recurrent or dense layers, "
            f"got kind {config.kind!r} ({type(config).__name__})"
        )
    yield from zip(cut, own, strict=True)


def _cut(config: StackConfig) -> list[StackConfig] | None:
    """One configuration a layer."""
    if isinstance(config, TransformerConfig):
        return [replace(config, layers=1, final_norm=False)] * config.layers
    if isinstance(config, RecurrentConfig):
        out = config.width * (2 if config.bidirectional else 1)
        into = [config.input_width, *[out] * (config.layers - 1)]
        return [replace(config, layers=1, input_width=width) for width in into]
    if isinstance(config, FeedForwardConfig):
        inner = [config.activation] * (len(config.widths) - 2)
        pairs = zip(
            config.widths, config.widths[1:], [*inner, config.final_activation], strict=False
        )
        return [replace(config, widths=(m, n), final_activation=act) for m, n, act in pairs]
    return None


def _share(memory: Memory, layer: StackConfig, index: int) -> Memory | None:
    """What one layer of a decoder takes of a memory."""
    if isinstance(layer, FeedForwardConfig):
        return None if index else memory
    if isinstance(layer, RecurrentConfig) and memory.state is not None:
        return replace(memory, state=[memory.state[index]])
    return memory


def _after(layer: StackConfig, name: str) -> str:
    return f"{name} (feed-forward)" if isinstance(layer, TransformerConfig) else name
