"""Stacks at the ends of what is configured: distances, memories, mixtures, decays."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.components import experts as routing
from lmkernel.config import (
    AttentionConfig,
    DeltaConfig,
    EmbeddingConfig,
    ExpertsConfig,
    LayerConfig,
    MlpConfig,
    ModelConfig,
    NormConfig,
    PrecisionPolicy,
    RelativeConfig,
    RotaryConfig,
    TransformerConfig,
)
from lmkernel.interfaces import Embedded, Memory, View
from lmkernel.model import Model
from lmkernel.parameters import flatten, nest
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.stack_trial import WHERE, stack_cases
from lmkernel_conformance.cases.trial import Trial, check_gradients, check_values
from lmkernel_conformance.inputs import normal, parameters, tokens
from lmkernel_conformance.oracle import model as oracle
from lmkernel_conformance.oracle.transformer import stack

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any

_WIDTH = 8
_GAPS = np.array([[0, 1, 2, 5, 11, 40], [-1, -1, 0, 3, 7, 16]])
"""Two rows of six whose positions do not follow one another; the second is padded."""
_EDGES = np.array([[0, 7, 8, 11, 12, 15, 16, 17, 31, 32, 33, 63, 64, 127, 128, 129, 200]])
"""Positions that begin, or end, a bucket as seen from the first."""


def _stack(layers: int = 2, **more: Any) -> TransformerConfig:
    given = {
        "attention": AttentionConfig(width=_WIDTH, heads=4, kv_heads=2, head_dim=3),
        "mlp": MlpConfig(hidden=6),
        "norm": NormConfig(kind="rms", eps=1e-5),
        **more,
    }
    return TransformerConfig(width=_WIDTH, layers=layers, **given)


ALIBI = stack_cases(
    "farther.alibi",
    "Linear biases follow positions, not places: with gaps between them, behind padding.",
    _stack(attention=AttentionConfig(width=_WIDTH, heads=4, alibi=0.5, rotary=None), causal=True),
    _GAPS,
)
_USUAL = RelativeConfig(heads=4, buckets=32, distance=128, tables=1)
BUCKETS = stack_cases(
    "farther.buckets",
    "The usual buckets of distances begin and end where they do, both ways.",
    _stack(1, attention=AttentionConfig(width=_WIDTH, heads=4, head_dim=2, relative=_USUAL)),
    np.concatenate([_EDGES, 200 - _EDGES[:, ::-1]]),
    (32, 4),
)

_CROSS = AttentionConfig(width=_WIDTH, heads=2, head_dim=4, memory_width=7, scale=1.7, softcap=0.6)
_SOURCE = np.array([[0, 1, 2, -1], [0, 1, -1, -1]])


def _cross(s: Subject) -> Trial:
    config = _stack(1, causal=True, cross=_CROSS)
    component = s.factory.create("decoder", config)
    hosts = parameters("farther.cross", flatten(component.declare()), gain=2.0)
    inputs = {**hosts, "x": normal("farther.x", 2, 5, _WIDTH), "m": normal("farther.m", 2, 4, 7)}

    def native(s: Subject, t: dict[str, Any]) -> Any:
        own = nest(component.declare(), {name: t[name] for name in hosts})
        memory = Memory(t["m"], s.array(_SOURCE))
        return component(own, Embedded(t["x"], s.array(WHERE)), memory=memory)

    def formula(ar: Any, t: dict[str, Host]) -> Host:
        own = {f"own.{name}": t[name] for name in hosts}
        return stack(ar, t["x"], WHERE, own, "own", config, memory=(t["m"], _SOURCE))

    return Trial(inputs=inputs, native=native, formula=formula)


@case(level="components", id="stack.farther.cross", rows=(7,))
def cross(s: Subject) -> None:
    """Attention to a memory has a scale and a bound of its own."""
    check_values(s, _cross(s))


@case(level="components", id="stack.farther.cross.gradient", rows=(7,), training=True)
def cross_gradient(s: Subject) -> None:
    """The gradient of every parameter of it, and of the memory."""
    check_gradients(s, _cross(s))


def _given(s: Subject, component: Any, changed: dict[str, Any]) -> Any:
    """Parameters of zeros, but for norms of one and what is named."""
    hosts = {
        name: np.full(p.shape, float(p.init.kind == "ones"))
        for name, p in flatten(component.declare()).items()
    }
    return s.arrays(nest(component.declare(), {**hosts, **changed}))


def _mixture(s: Subject, x: Host, experts: ExpertsConfig, **router: Host) -> Host:
    """What a mixture adds to ``x (batch, time, 8)``, of experts that give 1, 8, 64, … each."""
    mlp = MlpConfig(hidden=6, activation="relu", gated=False, bias=True, experts=experts)
    config = _stack(1, causal=True, mlp=mlp, final_norm=False)
    component = s.factory.create("decoder", config)
    each = np.outer(8.0 ** np.arange(experts.count), np.ones(_WIDTH))
    named = {f"router.{name}": value for name, value in router.items()}
    named["experts.down.bias"] = each
    params = _given(s, component, {f"layers.0.mlp.{name}": v for name, v in named.items()})
    where = np.broadcast_to(np.arange(x.shape[1]), x.shape[:2])
    got = component(params, Embedded(s.array(x), s.array(where)))
    return s.host(got) - x


_SIGNS = np.array([[[1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0, -1.0], [2.0] * 8, [0.0] * 8]])


def _digits(s: Subject) -> int:
    """How many digits of a sum of experts that differ by powers of eight are left."""
    return 10 if s.dtype == "float64" else 4


@case(level="components", id="farther.experts.ties")
def ties(s: Subject) -> None:
    """Of experts that score alike the first are chosen."""
    scores = np.array([[2.0, 2.0, 2.0, 2.0], [1.0, 3.0, 3.0, 3.0], [-1.0, -4.0, -1.0, -1.0]])
    indices, values = routing.find_best(s.ops, s.array(scores), 2)
    got = [s.host(index)[:, 0].tolist() for index in indices]
    s.demand("experts", expected=[[0, 1, 0], [1, 2, 2]], got=got)
    best = [s.host(value).tolist() for value in values]
    s.demand("scores", expected=[[2.0, 3.0, -1.0]] * 2, got=best)


@case(level="components", id="farther.experts.biases")
def biases(s: Subject) -> None:
    """Experts outside the best group are not chosen, however far below zero those inside are."""
    chosen = {"max": (2, 3), "top_two": (4, 5)}
    bias = np.array([-9.0, -9.0, -2.0, -8.0, -3.0, -4.0])
    for score, pair in chosen.items():
        experts = ExpertsConfig(
            count=6,
            chosen=2,
            hidden=5,
            scoring="sigmoid",
            choice_bias=True,
            groups=3,
            chosen_groups=1,
            group_score=score,
        )
        got = _mixture(s, _SIGNS, experts, choice_bias=bias)
        want = (8.0 ** pair[0] + 8.0 ** pair[1]) / 2
        # but for the last digits, as a share of a sum of two is near a half
        s.equal(score, np.round(got / want, _digits(s)), np.ones((1, 3, _WIDTH)))


@case(level="components", id="farther.experts.several")
def several(s: Subject) -> None:
    """Each of many experts that are chosen counts once, by its score or by its share of them."""
    order = np.array([3.0, 0.0, 5.0, 1.0, 4.0, 2.0])
    base = ExpertsConfig(count=6, chosen=3, hidden=5, scoring="sigmoid", choice_bias=True)
    for count, renormalize in itertools.product((3, 5), (False, True)):
        experts = replace(base, chosen=count, renormalize=renormalize)
        parts = count if renormalize else 2  # each score is a half
        want = sum(8.0**i for i in range(6) if order[i] >= 6 - count) / parts
        got = _mixture(s, _SIGNS, experts, choice_bias=order)
        name = f"{count} of six, {'shares' if renormalize else 'scores'}"
        s.equal(name, np.round(got / want, _digits(s)), np.ones((1, 3, _WIDTH)))


_DELTA = AttentionConfig(
    kind="delta",
    width=6,
    heads=3,
    head_dim=2,
    delta=DeltaConfig(key_heads=1, key_dim=2, taps=2),
)
_STEPS, _RATES = np.array([2.0, -20.0, 100.0]), np.array([0.0, 20.0, -5.0])


@case(level="components", id="farther.decay", dtypes=("float32", "float64"))
def decay(s: Subject) -> None:
    """What is left after a step follows softplus far from zero; to four digits.

    Each head writes one value, then another beside it, and reads both: their quotient is the decay.
    """
    component = s.factory.create("attention", _DELTA)
    # channels: queries, keys, and the values of three heads; inputs: one for each position
    mixed = np.zeros((10, 6))
    mixed[2, 0] = mixed[3, 1] = mixed[0, 1] = mixed[1, 1] = 64.0
    mixed[4:10:2, 0] = mixed[5:10:2, 1] = 64.0
    named = {
        "mixed.weight": mixed,
        "taps": np.array([0.0, 1.0]) * np.ones((10, 1)),
        "correction.weight": np.outer(np.ones(3), [64.0, 64.0, 0, 0, 0, 0]),
        "decay_bias": _STEPS,
        "decay_rate": _RATES,
        "out_gate.weight": np.outer(np.ones(6), [64.0, 64.0, 0, 0, 0, 0]),
        "out.weight": np.eye(6),
    }
    x, where = s.array(np.eye(2, 6)[None]), s.array(np.arange(2)[None])
    got, _ = component(_given(s, component, named), x, View(where, where, None))
    pairs = s.host(got).astype(float)[0, 1].reshape(3, 2)
    want = np.exp(-np.exp(_RATES) * np.logaddexp(0.0, _STEPS))
    s.equal("decays", np.round(pairs[:, 0] / pairs[:, 1], 4), np.round(want, 4))


_TWO = RotaryConfig(dim=4, theta=30.0), RotaryConfig(dim=4, theta=700.0, attention_factor=1.5)
_ATTENTION = AttentionConfig(width=_WIDTH, heads=2, head_dim=6, window=4)
_TURNS = ModelConfig(
    embedding=EmbeddingConfig(
        width=_WIDTH, vocab=11, positions="rotary", rotary=_TWO[0], more_rotary=_TWO[1:]
    ),
    decoder=_stack(
        causal=True,
        attention=_ATTENTION,
        different=(LayerConfig(), LayerConfig(attention=replace(_ATTENTION, rotary=1))),
    ),
)


@case(level="models", id="farther.rotaries", rows=(9,))
def rotaries(s: Subject) -> None:
    """Layers that differ in nothing but their RoPE turn by their own."""
    dtype: Any = s.dtype
    model = Model(s.backend, _TURNS, PrecisionPolicy(params=dtype, compute=dtype, output=dtype))
    hosts = s.round(parameters("farther.turns", flatten(model.declare())))
    ids = tokens("farther.turns", 2, 9, vocab=11)

    def formula(ar: Any) -> Host:
        return oracle.forward(ar, _TURNS, {n: ar.constant(x) for n, x in hosts.items()}, ids)

    limit = s.budgets("output", formula)[0]
    got = model.forward(nest(model.declare(), s.arrays(hosts)), s.array(ids))
    s.judge("output", s.host(got), limit)
