"""Stacks step by step, with windows and with dropout: behaviour that no single call shows."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.composed import assemble
from lmkernel.config import (
    AttentionConfig,
    DeltaConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    MlpConfig,
    NormConfig,
    RecurrentConfig,
    TransformerConfig,
)
from lmkernel.interfaces import Embedded, Memory
from lmkernel.parameters import flatten, nest
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.stack_trial import WHERE, stack_trial
from lmkernel_conformance.cases.trial import check_values
from lmkernel_conformance.inputs import normal, parameters
from lmkernel_conformance.oracle import activation, model
from lmkernel_conformance.oracle.norm import linear
from lmkernel_conformance.oracle.transformer import normalize, stack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.factory import ComponentFactory
    from lmkernel_conformance.budget import Budget
    from lmkernel_conformance.subject import Subject

Host = Any

_WIDTH, _TIME, _CAPACITY = 8, 5, 9
_NORM = NormConfig(kind="rms", eps=1e-5)
_MLP = MlpConfig(hidden=6)
_SOURCE = np.array([[0, 1, 2, -1], [0, 1, -1, -1]])


def _attention(**more: Any) -> AttentionConfig:
    return AttentionConfig(width=_WIDTH, heads=4, kv_heads=2, head_dim=3, **more)


def _transformer(**more: Any) -> TransformerConfig:
    return TransformerConfig(
        **{
            "width": _WIDTH,
            "layers": 2,
            "attention": _attention(),
            "mlp": _MLP,
            "norm": _NORM,
            **more,
        }
    )


_CROSS = AttentionConfig(width=_WIDTH, heads=2, head_dim=4, memory_width=7)
_DECODER = _transformer(causal=True, cross=_CROSS)
_DELTA = AttentionConfig(
    kind="delta", width=_WIDTH, heads=4, head_dim=3, delta=DeltaConfig(key_heads=2, key_dim=5)
)


@case(level="components", id="stack.window_both_ways", rows=(3,))
def window_both_ways(s: Subject) -> None:
    """Without causality a window of two is one position to either side."""
    check_values(s, stack_trial(s, _transformer(attention=_attention(window=2)), "encoder"))


@case(level="components", id="stack.no_memory")
def no_memory(s: Subject) -> None:
    """A decoder with cross-attention works without an encoder's output, as if it had none."""
    check_values(s, stack_trial(s, _DECODER, "decoder"))


_DECODERS: Mapping[str, Any] = MappingProxyType(
    {
        "transformer": _DECODER,
        "window": _transformer(causal=True, attention=_attention(window=2)),
        "sinks": _transformer(causal=True, attention=_attention(sinks=True)),
        "delta": _transformer(causal=True, attention=_DELTA),
        "single_vector": _transformer(
            causal=True, attention=AttentionConfig(kind="single_vector", width=_WIDTH, heads=1)
        ),
        "feed_forward": FeedForwardConfig(widths=(_WIDTH, 6, _WIDTH), activation="gelu"),
        "recurrent": RecurrentConfig(input_width=_WIDTH, width=5, layers=2, cell="gru"),
    }
)
_ROOM = 3
"""The capacity of the state at first, in positions."""
_PIECES = ((0, 3), (3, 4), (4, 5))


def _step_outputs(
    s: Subject,
    component: Any,
    params: Any,
    x: Host,
    memory: Memory | None,
    room: int,
    *,
    where: Host = WHERE,
    pieces: tuple[tuple[int, int], ...] = _PIECES,
) -> list[Host]:
    """The output of each position: a prompt of three, then one by one in a state that has grown."""
    # The extent is the whole capacity each time, so slots that were never written are in reach, and
    # only the mask keeps them out.
    dtype: Any = s.dtype
    state = component.start(params, 2, room, dtype, memory=memory)
    found = []
    for first, last in pieces:
        if last > room:
            state, room = component.grow(state, _CAPACITY), _CAPACITY
        piece = Embedded(s.array(x[:, first:last]), s.array(where[:, first:last]))
        begin = s.ops.asarray(first, "int32")
        hidden, state = component.step(params, piece, state, begin, extent=room)
        found.append(s.host(hidden))
    return found


@case(level="components", id="stack.steps", rows=(25,))
def steps(s: Subject) -> None:
    """Decoders of every kind give the same outputs step by step as in one call."""
    x = s.round(normal("stacks.steps", 2, _TIME, _WIDTH))
    for name, config in _DECODERS.items():
        component = s.factory.create("decoder", config)
        hosts = s.round(parameters(f"stacks.{name}", flatten(component.declare())))
        source = s.round(normal("stacks.memory", 2, 4, 7))
        memory, params = None, s.arrays(nest(component.declare(), hosts))
        if name == "transformer":
            memory = Memory(s.array(source), s.array(_SOURCE))
        whole = _whole(s, name, config, hosts, x, source)
        got = np.concatenate(_step_outputs(s, component, params, x, memory, _ROOM), 1)
        s.judge(name, got, whole)


_GAP = np.array([[0, 1, 2, 3, 4], [0, 1, 2, -1, 3]])
"""The second row has one token less after a prompt of three, and padding before it."""


@case(level="components", id="stack.gap", rows=(11, 25))
def gap(s: Subject) -> None:
    """Padding between what a row was fed before and what is new is passed over."""
    x = s.round(normal("stacks.gap", 2, _TIME, _WIDTH))
    for name in ("window", "delta"):
        config = _DECODERS[name]
        component = s.factory.create("decoder", config)
        hosts = s.round(parameters(f"stacks.gap.{name}", flatten(component.declare())))
        params, pieces = s.arrays(nest(component.declare(), hosts)), ((0, 3), (3, 5))
        got = _step_outputs(s, component, params, x, None, _CAPACITY, where=_GAP, pieces=pieces)
        whole = _whole(s, name, config, hosts, x, x, where=_GAP)
        real = _GAP >= 0
        s.judge(name, np.concatenate(got, 1)[real], whole.at(real))


def _whole(
    s: Subject,
    name: str,
    config: Any,
    hosts: dict[str, Host],
    x: Host,
    source: Host,
    *,
    where: Host = WHERE,
) -> Budget:
    def formula(ar: Any) -> Host:
        own = {f"own.{n}": ar.constant(v) for n, v in hosts.items()}
        if name == "feed_forward":
            return model.feed_forward(ar, ar.constant(x), own, "own", config)
        if name == "recurrent":
            return model.recurrent(ar, ar.constant(x), WHERE, own, "own", config)[0]
        if name == "single_vector":
            return _single_vector_layers(ar, ar.constant(x), own, config)
        memory = (ar.constant(source), _SOURCE) if name == "transformer" else None
        return stack(ar, ar.constant(x), where, own, "own", config, memory=memory)

    return s.budgets(name, formula)[0]


def _single_vector_layers(ar: Any, x: Host, p: dict[str, Host], config: Any) -> Host:
    """Two pre-norm layers of the tutorial's attention, which weighs the elements of a vector."""
    for i in range(config.layers):
        at = f"own.layers.{i}"
        y = normalize(ar, x, p, f"{at}.attention_norm", config.norm)
        scores = linear(ar, y, p[f"{at}.attention.scores.weight"])
        x = x + activation.softmax(ar, scores) * y
        y = normalize(ar, x, p, f"{at}.mlp_norm", config.norm)
        gate = activation.activate(ar, linear(ar, y, p[f"{at}.mlp.gate.weight"]), "silu")
        inner = gate * linear(ar, y, p[f"{at}.mlp.up.weight"])
        x = x + linear(ar, inner, p[f"{at}.mlp.down.weight"])
    return normalize(ar, x, p, "own.norm", config.norm)


@case(level="components", id="recurrent.one_way_state")
def one_way_state(s: Subject) -> None:
    """An encoder that reads in one direction hands its last states over unchanged."""
    config = RecurrentConfig(input_width=_WIDTH, width=3, layers=2, cell="lstm")
    component = s.factory.create("encoder", config)
    hosts = s.round(parameters("stacks.one_way", flatten(component.declare())))
    x = s.round(normal("stacks.one_way.x", 2, _TIME, _WIDTH))
    params = s.arrays(nest(component.declare(), hosts))
    memory = component(params, Embedded(s.array(x), s.array(WHERE)))

    def formula(ar: Any) -> list[Host]:
        own = {f"own.{n}": ar.constant(v) for n, v in hosts.items()}
        _, last = model.recurrent(ar, ar.constant(x), WHERE, own, "own", config)
        return [ends["forward"][kind] for ends in last for kind in "hc"]

    s.agree("last states", [layer[kind] for layer in memory.state for kind in "hc"], formula)


@case(level="components", id="dropout.sites", dtypes=("float32",), training=True)
def dropout_sites(s: Subject) -> None:
    """Every dropout site draws with a key of its own, the same on every backend.

    The number of the site is added to the second word of the key: the embedding's is 0, layer i of
    an encoder has 1 + 4·i and the two after it, and the decoder's begin at 2^14.
    """
    keys: list[tuple[int, ...]] = []

    def dropout(x: Any, key: Any, rate: float) -> Any:
        s.demand("rate", expected=0.25, got=rate)
        keys.append(tuple(int(word) for word in s.host(key)))
        return x

    ops: Any = s.ops
    own = {**ops.overridden, "dropout": dropout}
    factory = s.with_ops(assemble(ops, own)).factory
    key, more = s.ops.asarray([7, 100], "int32"), {"dropout": 0.25}
    _train(s, factory, key, more)
    encoder = [101, 103, 105, 107]
    decoder = [(1 << 14) + n for n in (101, 102, 103, 105, 106, 107)]
    wanted = [(7, n) for n in (100, *encoder, *decoder)]
    s.demand("keys", expected=wanted, got=keys)


def _train(s: Subject, factory: ComponentFactory, key: Any, more: dict[str, Any]) -> None:
    """Call an embedding, an encoder and a decoder as in training."""
    where = s.array(WHERE)
    table = EmbeddingConfig(width=_WIDTH, vocab=3, **more)
    embedding = factory.create("embedding", table)
    params = {"tokens": {"weight": s.array(normal("stacks.table", 3, _WIDTH))}}
    embedded = embedding(params, s.array(np.maximum(WHERE, 0) % 3), where, key=key)
    cross = AttentionConfig(width=_WIDTH, heads=2, head_dim=4, memory_width=_WIDTH)
    component = [
        factory.create("encoder", _transformer(**more)),
        factory.create("decoder", _transformer(causal=True, cross=cross, **more)),
    ]
    hosts = [parameters(f"stacks.drop{i}", flatten(c.declare())) for i, c in enumerate(component)]
    trees = [s.arrays(nest(c.declare(), h)) for c, h in zip(component, hosts, strict=True)]
    memory = component[0](trees[0], embedded, key=key)
    component[1](trees[1], embedded, memory=memory, key=key)
