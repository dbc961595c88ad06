"""Options of stacks, caches and heads where they meet, or stand at the ends of what they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import (
    AttentionConfig,
    LayerConfig,
    MlpConfig,
    NormConfig,
    RelativeConfig,
    TransformerConfig,
)
from lmkernel.interfaces import Embedded
from lmkernel.parameters import flatten, nest
from lmkernel_conformance.cases.beyond import whole_numbers
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.stack_trial import stack_cases
from lmkernel_conformance.inputs import normal, parameters
from lmkernel_conformance.oracle.transformer import stack

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any

_WIDTH = 8
_NORM = NormConfig(kind="rms", eps=1e-5)
_GAPS = np.array([[0, 1, 2, 5, 11, 40], [-1, -1, 0, 3, 7, 16]])
"""Two rows of six whose positions do not follow one another; the second is padded."""


def _attention(**more: Any) -> AttentionConfig:
    return AttentionConfig(**{"width": _WIDTH, "heads": 4, "kv_heads": 2, "head_dim": 3, **more})


def _stack(attention: AttentionConfig, layers: int = 1, **more: Any) -> TransformerConfig:
    given = {"mlp": MlpConfig(hidden=6), "norm": _NORM, **more}
    return TransformerConfig(width=_WIDTH, layers=layers, attention=attention, **given)


ITSELF = stack_cases(
    "meetings.itself",
    "In a window of one each position sees itself alone.",
    _stack(_attention(window=1), causal=True),
)
WINDOW = stack_cases(
    "meetings.window",
    "A window is so many positions, not so many places: with gaps between them.",
    _stack(_attention(window=4), causal=True),
    _GAPS,
)
HEADS = stack_cases(
    "meetings.heads",
    "Linear biases of more heads than sixteen, which are no power of two.",
    _stack(_attention(heads=40, kv_heads=40, head_dim=1, alibi=1.0, rotary=None), causal=True),
    _GAPS,
)
AHEAD = stack_cases(
    "meetings.ahead",
    "Linear biases of keys that come after the query rise.",
    _stack(_attention(alibi=0.5, rotary=None)),
    _GAPS,
)
SLOPES = stack_cases(
    "meetings.slopes",
    "Layers that differ in the factor of their linear biases alone.",
    _stack(
        _attention(alibi=1.0, rotary=None),
        layers=2,
        different=(LayerConfig(), LayerConfig(attention=_attention(alibi=0.25, rotary=None))),
        causal=True,
    ),
    _GAPS,
)


def _relative(buckets: int, table: int = 0, tables: int = 1) -> AttentionConfig:
    own = RelativeConfig(heads=4, buckets=buckets, distance=16, tables=tables, table=table)
    return _attention(relative=own)


ODD = stack_cases(
    "meetings.odd",
    "An odd number of buckets, of which fewer than half hold one distance each.",
    _stack(_relative(7), causal=True),
    _GAPS,
    (7, 4),
)
TABLES = stack_cases(
    "meetings.tables",
    "Three layers with a table of distances each, in another order.",
    _stack(
        _relative(9, 0, 3),
        layers=3,
        different=tuple(LayerConfig(attention=_relative(9, i, 3)) for i in (2, 0, 1)),
        causal=True,
    ),
    _GAPS,
    *[(9, 4)] * 3,
)
SINKS = stack_cases(
    "meetings.sinks",
    "A bound of scores is none of sinks.",
    _stack(_attention(sinks=True, softcap=0.25), causal=True),
)
OFFSET = stack_cases(
    "meetings.offset",
    "Weights of layer norms are offset as those of RMS norms are.",
    _stack(_attention(), norm=NormConfig(kind="layer", eps=1e-5, offset=1.0)),
)
SCALED = stack_cases(
    "meetings.scaled",
    "Outputs are normalised before learned factors multiply them.",
    _stack(_attention(), output_norm=True, layer_scale=0.5, causal=True),
)
PARALLEL = stack_cases(
    "meetings.parallel",
    "Both branches have the factor of residuals.",
    _stack(_attention(), parallel=True, residual_scale=0.375, causal=True),
)
SQUARE = stack_cases(
    "meetings.square",
    "As many positions as elements, heads as rows: axes are told apart by their place.",
    _stack(_attention(heads=2, kv_heads=2, head_dim=_WIDTH), causal=True),
    np.array([[*range(_WIDTH)]] * 2),
)


@case(level="components", id="meetings.single_vector")
def single_vector(s: Subject) -> None:
    """Shares of a vector's elements sum to one, be there as many positions; to four digits."""
    config = AttentionConfig(kind="single_vector", width=3, heads=1)
    component = s.factory.create("attention", config)
    hosts = {name: np.eye(3) * 0 for name in flatten(component.declare())}
    x = whole_numbers(1, 3, 3)
    hidden = component.weights(s.arrays(nest(component.declare(), hosts)), s.array(x))
    s.equal("shares", np.round(s.host(hidden).astype(float), 4), np.full((1, 3, 3), 0.3333))
    steep = {name: 8.0 * np.eye(3)[[1, 2, 0]] for name in hosts}
    got = component.weights(s.arrays(nest(component.declare(), steep)), s.array(x))
    total = np.round(s.host(got).astype(float).sum(-1), 4)
    s.equal("sums", total, np.ones((1, 3)))


def _judge_steps(
    s: Subject, name: str, config: TransformerConfig, where: Host, ends: tuple[int, ...]
) -> None:
    """A decoder that is fed in pieces gives at real positions what it gives in one call."""
    component = s.factory.create("decoder", config)
    hosts = s.round(parameters(f"meetings.{name}", flatten(component.declare())))
    x = s.round(normal(f"meetings.{name}.x", *where.shape, _WIDTH))
    params, dtype = s.arrays(nest(component.declare(), hosts)), s.dtype
    state = component.start(params, len(where), ends[0], dtype)
    room, found, first = ends[0], [], 0
    for end in ends:
        if end > room:
            state, room = component.grow(state, 2 * end), 2 * end
        piece = Embedded(s.array(x[:, first:end]), s.array(where[:, first:end]))
        hidden, state = component.step(
            params, piece, state, s.ops.asarray(first, "int32"), extent=room
        )
        found.append(s.host(hidden))
        first = end

    def formula(ar: Any) -> Host:
        own = {f"own.{n}": ar.constant(v) for n, v in hosts.items()}
        return stack(ar, ar.constant(x), where, own, "own", config)

    real = where >= 0
    whole = s.budgets(name, formula)[0]
    s.judge(name, np.concatenate(found, 1)[real], whole.at(real))


@case(level="components", id="stack.meetings.alone", rows=(11, 25))
def alone(s: Subject) -> None:
    """A row by itself does not see the padding before it, one position at a time."""
    where = np.array([[-1, -1, 0, 1, 2, 3]])
    _judge_steps(s, "alone", _stack(_attention(), causal=True), where, (4, 5, 6))


@case(level="components", id="stack.meetings.pauses", rows=(11, 25))
def pauses(s: Subject) -> None:
    """A row that is fed padding for a while goes on where it was, in windows, sinks and none."""
    where = np.array([[*range(9)], [0, 1, 2, 3, -1, -1, 4, -1, 5]])
    for name, attention in (
        ("pauses in a window", _attention(window=3)),
        ("pauses with sinks", _attention(window=3, sinks=True)),
        ("pauses without", _attention()),
    ):
        config = _stack(attention, layers=2, causal=True)
        _judge_steps(s, name, config, where, (4, 5, 6, 7, 8, 9))


@case(level="operations", id="meetings.rows", rows=(2, 25))
def rows(s: Subject) -> None:
    """Each of many rows has a mask of its own, with a cache and without."""
    ops: Any = s.ops
    count, slots = 20, 5
    v = 4 * whole_numbers(count, 2, slots, 3)
    seen = (np.arange(count)[:, None] * 7 + np.arange(slots) ** 2) % slots == 0
    seen[:, 0] |= ~seen.any(1)
    weights = seen / seen.sum(1, keepdims=True)
    want = np.einsum("rs,rhsd->rhd", weights, v)[:, :, None]
    q, k = s.array(np.zeros((count, 2, 1, 3))), s.array(np.zeros((count, 2, slots, 3)))
    mask = s.array(seen[:, None, None])
    got = ops.attention(q, k, s.array(v), mask, scale=1.0)
    s.equal("attention", np.round(s.host(got).astype(float), 3), np.round(want, 3))
    cache = ops.cache_create(count, 2, 3, slots, s.dtype)
    cache = ops.cache_append(cache, k, s.array(v), ops.asarray(0, "int32"))
    cached = ops.cache_attend(cache, q, mask, extent=slots, scale=1.0)
    s.equal("cache", np.round(s.host(cached).astype(float), 3), np.round(want, 3))


@case(level="operations", id="meetings.full_cache")
def full_cache(s: Subject) -> None:
    """A full cache keeps each slot when it grows, be their number no multiple of anything."""
    ops: Any = s.ops
    for slots in (5, 20, 33, 67):
        v = whole_numbers(1, 2, slots, 3)
        zeros = s.array(np.zeros((1, 2, slots, 3)))
        cache = ops.cache_create(1, 2, 3, slots, s.dtype)
        cache = ops.cache_append(cache, zeros, s.array(v), ops.asarray(0, "int32"))
        cache = ops.cache_grow(cache, 2 * slots)
        q = s.array(np.zeros((1, 2, slots, 3)))
        mask = np.eye(slots, 2 * slots, dtype=bool)[None, None]
        got = ops.cache_attend(cache, q, s.array(mask), extent=2 * slots, scale=1.0)
        s.equal(f"{slots} slots", got, v, s.dtype)


@case(level="gradients", id="meetings.again.gradient", training=True)
def again(s: Subject) -> None:
    """What is computed again has gradients of every argument, also of those within structures."""
    ops: Any = s.ops
    hosts = [whole_numbers(5) + i for i in range(5)]
    native = [s.array(host) for host in hosts]

    def product(a: Any, b: Any, pair: Any, tree: Any) -> Any:
        return a * b * pair[0] * pair[1] * tree["x"]

    def f(t: Any) -> Any:
        return ops.sum(ops.remat(product)(t[0], t[1], (t[2], t[3]), {"x": t[4]}), 0)

    found = ops.value_and_grad(f)(native)[1]
    for i in range(5):
        want = np.prod([host for j, host in enumerate(hosts) if j != i], axis=0)
        s.equal(f"argument {i}", found[i], want, s.dtype)
