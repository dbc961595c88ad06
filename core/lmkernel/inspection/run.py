"""A model run layer by layer, with each intermediate value by name: its activations.

Constraints: nothing is hooked, wrapped or patched. A stack of n layers is n stacks of one, so each
layer is a component of its own from the factory, called with its part of the parameters; a
backend's own components are what runs. What stands inside a layer is computed beside it, from the
same input, and goes no further. All of it runs as `lmkernel.model.Model.forward` does: uncompiled,
without a cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, final

from lmkernel.components.layer import TransformerLayer
from lmkernel.components.primitives import normalize
from lmkernel.components.transformer import memory_view, whole_view
from lmkernel.config import FeedForwardConfig, RecurrentConfig, TransformerConfig
from lmkernel.errors import InputError
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import Memory
from lmkernel.model.sight import with_pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmkernel.config import StackConfig
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Embedded
    from lmkernel.model import Model

    Perturb = Callable[[str, Array], Array]

__all__ = ["Activation", "activations", "split_layers"]


@final
@dataclass(frozen=True)
class Activation:
    """An intermediate value of a run.

    Args:
        name: such as ``layer 3 (attention)``; see `activations`.
        kind: where it comes from: ``"part"`` is inside a layer, ``"layer"`` at its end.
        value: ``(batch, time, width)``; ``(batch, time, experts)`` for routing, ``(batch, size)``
            for the logits of a head that pools.
        given: the hidden vectors that it was computed from; None for an embedding.
        layer: the layer as a stack of its own, for a part or a layer.
        params: of that layer.
    """

    name: str
    kind: Literal["embedding", "part", "layer", "norm", "logits"]
    value: Array
    given: Embedded | None = None
    layer: StackConfig | None = None
    params: Tree = None


def activations(
    model: Model,
    params: Tree,
    inputs: Array,
    *,
    positions: Array | None = None,
    target: Array | None = None,
    shown: tuple[Array, Array] | None = None,
    parts: bool = True,
    perturb: Perturb = lambda _, x: x,
) -> Iterator[Activation]:
    """Every activation, in the order in which a model is run; inside the backend's scope.

    Their names are ``embedding``, ``layer N (attention)``, ``layer N (cross-attention)``,
    ``layer N (routing)``, which is what experts are chosen by, ``layer N (feed-forward)`` or
    ``layer N``, ``final norm`` and ``logits``; N counts from 0, as parameters do. Where there are
    an encoder and a decoder, theirs begin with the word.

    Args:
        model: any composition of stacks.
        params: from `Model.pack` or `Model.place`.
        inputs: int32 ``(batch, time)``, or vectors ``(batch, time, width)``.
        positions: int32 ``(batch, time)``, -1 for padding; by default 0, 1, 2, …
        target: what an encoder-decoder's decoder is fed.
        shown: vectors of pictures and where they stand, as of `Model.forward`.
        parts: whether what stands inside a layer is computed too.
        perturb: called with the name and the value of each activation that the next one is
            computed from; the next one is computed from what it returns.

    Raises:
        InputError: a stack that is not made of layers.
    """
    run = _Run(model, params, perturb, parts=parts)
    yield from run.embed("embedding", inputs, positions, target=False, shown=shown)
    both = model.encoder is not None and model.decoder is not None
    if model.config.encoder is not None:
        yield from run.encode(model.config.encoder, "encoder " if both else "")
    if both and target is not None:
        yield from run.embed("decoder embedding", target, None, target=True)
    if model.config.decoder is not None:
        yield from run.decode(model.config.decoder, "decoder " if both else "")
    if model.config.head is not None:
        yield run.logits()


def split_layers(config: StackConfig) -> list[StackConfig]:
    """Each layer of a stack as a stack of one.

    Raises:
        InputError: it is not made of layers.
    """
    if isinstance(config, TransformerConfig):
        return [replace(config.layer(i), final_norm=False) for i in range(config.layers)]
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
    raise _without_layers(config)


@final
class _Run:
    """Where a run has come to: the hidden vectors, what a stack begins with, and the memory."""

    def __init__(self, model: Model, params: Tree, perturb: Perturb, *, parts: bool) -> None:
        self._model, self._params, self._perturb, self._parts = model, params, perturb, parts
        self._factory = ComponentFactory(model.backend)
        self._ops: Ops = model.backend.ops
        self._now: Embedded
        self._source: Embedded
        self._memory: Memory | None = None
        self._tokens: Array = None

    def embed(
        self,
        name: str,
        inputs: Array,
        positions: Array | None,
        *,
        target: bool,
        shown: tuple[Array, Array] | None = None,
    ) -> Iterator[Activation]:
        """The vectors of the inputs, or of the target; those of pictures stand among them."""
        embed = self._model.embed_target if target else self._model.embed
        self._now, self._tokens = embed(self._params, inputs, positions), inputs
        if shown is not None:
            self._now = with_pictures(self._ops, self._now, *shown)
        yield self._go_on(Activation(name, "embedding", self._now.hidden))
        self._source = self._now

    def encode(self, config: StackConfig, prefix: str) -> Iterator[Activation]:
        """The encoder's activations; what it makes is the memory from there on."""
        states: list[Tree] = []
        for i, (layer, own) in enumerate(_layers(config, self._params["encoder"])):
            yield from self._inside(layer, own, f"{prefix}layer {i}")
            made = self._factory.create("encoder", layer)({"layers": [own]}, self._now)
            states += made.state or []
            yield self._end_of_layer(layer, own, f"{prefix}layer {i}", made.hidden)
        yield from self._final_norm(config, self._params["encoder"], prefix)
        self._memory = Memory(self._now.hidden, self._now.positions, states or None)

    def decode(self, config: StackConfig, prefix: str) -> Iterator[Activation]:
        """The decoder's activations, looking at the memory where there is one."""
        self._now = self._source
        for i, (layer, own) in enumerate(_layers(config, self._params["decoder"])):
            memory = self._memory and _share(self._memory, layer, i)
            yield from self._inside(layer, own, f"{prefix}layer {i}")
            made = self._factory.create("decoder", layer)
            hidden = made({"layers": [own]}, self._now, memory=memory)
            yield self._end_of_layer(layer, own, f"{prefix}layer {i}", hidden)
        yield from self._final_norm(config, self._params["decoder"], prefix)

    def logits(self) -> Activation:
        """The output of the head."""
        now = self._now
        output = self._model.output(self._params, now.hidden, now.positions, tokens=self._tokens)
        return Activation("logits", "logits", output, self._now)

    def _go_on(self, activation: Activation) -> Activation:
        """What comes next is computed from this one."""
        hidden = self._perturb(activation.name, activation.value)
        self._now = replace(self._now, hidden=hidden)
        return activation

    def _inside(self, layer: StackConfig, own: Tree, name: str) -> Iterator[Activation]:
        """After attention, after attention over the memory, and what experts are chosen by."""
        if not self._parts or not isinstance(layer, TransformerConfig):
            return
        ops, now, memory = self._ops, self._now, self._memory
        beside = TransformerLayer(self._factory, layer, 0)
        x, _ = beside.attend(own, now.hidden, whole_view(ops, layer, now))
        yield Activation(f"{name} (attention)", "part", x, now, layer, own)
        if layer.cross is not None and memory is not None:
            across = memory_view(ops, now.positions, memory.positions)
            kept = beside.remember(own, memory.hidden)
            y = beside.look(own, x, across, kept)
            given = replace(now, hidden=x)
            yield Activation(f"{name} (cross-attention)", "part", y, given, layer, own)
            x = y
        if layer.mlp.experts is not None:
            before = now if layer.parallel else replace(now, hidden=x)
            scores = beside.rate(own, before.hidden)
            yield Activation(f"{name} (routing)", "part", scores, before, layer, own)

    def _end_of_layer(self, layer: StackConfig, own: Tree, name: str, hidden: Array) -> Activation:
        if isinstance(layer, TransformerConfig):
            name = f"{name} (feed-forward)"
        return self._go_on(Activation(name, "layer", hidden, self._now, layer, own))

    def _final_norm(self, config: StackConfig, params: Tree, prefix: str) -> Iterator[Activation]:
        if isinstance(config, TransformerConfig) and config.final_norm:
            hidden = normalize(self._ops, self._now.hidden, params["norm"], config.norm)
            yield self._go_on(Activation(f"{prefix}final norm", "norm", hidden, self._now))


def _layers(config: StackConfig, params: Tree) -> Iterator[tuple[StackConfig, Tree]]:
    """Each layer as a stack of its own, with its parameters."""
    layers = split_layers(config)
    own = params.get("layers") if isinstance(params, dict) else None
    if isinstance(config, TransformerConfig) and config.sets and isinstance(own, Sequence):
        own = config.own(own)
    # a plugin's kind may have one of our configurations and other parameters; layers that are read
    # when they are asked for are a sequence too
    if not isinstance(own, Sequence) or len(own) != len(layers):
        raise _without_layers(config)
    yield from zip(layers, own, strict=True)


def _share(memory: Memory, layer: StackConfig, index: int) -> Memory | None:
    """What one layer of a decoder takes of a memory."""
    if isinstance(layer, FeedForwardConfig):
        return None if index else memory
    if isinstance(layer, RecurrentConfig) and memory.state is not None:
        return replace(memory, state=[memory.state[index]])
    return memory


def _without_layers(config: Any) -> InputError:
    return InputError(
        "expected a stack of transformer, recurrent or dense layers, "
        f"got kind {config.kind!r} ({type(config).__name__})"
    )
