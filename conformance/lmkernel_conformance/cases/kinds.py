"""Each kind of component: how the suite calls it, and the oracle's formula of the call."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    MlpConfig,
    NormConfig,
    RecurrentConfig,
    RotaryConfig,
    TransformerConfig,
)
from lmkernel.interfaces import Embedded, LossConfig, Memory, View
from lmkernel_conformance.inputs import normal, tokens
from lmkernel_conformance.oracle import activation, loss, model, positions
from lmkernel_conformance.oracle.attention import visible
from lmkernel_conformance.oracle.norm import linear
from lmkernel_conformance.oracle.transformer import multi_head, stack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel_conformance.subject import Subject

__all__ = ["CALLS", "POSITIONS", "Kind", "build_component", "call_component"]

Host = Any

POSITIONS = np.array([[0, 1, 2, 3, 4], [-1, -1, 0, 1, 2]])
"""Two rows of five; the second is padded on the left."""
_SOURCE = np.array([[0, 1, 2, -1], [0, 1, -1, -1]])
_X = normal("kind.x", 2, 5, 12)
_MEMORY = normal("kind.memory", 2, 4, 10)
_TOKENS = tokens("kind", 2, 5, vocab=11)
_TARGETS = np.array([[3, -1, 0, 6, 1], [-100, 2, 5, 1, 11]])
_TARGET = np.abs(_X) / np.abs(_X).sum(-1, keepdims=True)


@final
@dataclass(frozen=True)
class Kind:
    """One kind of component.

    Args:
        config: the configuration of the component.
        call: the call on the backend, ``f(subject, component, params) -> results``.
        formula: the formula on the oracle, ``f(arithmetic, parameters by name) -> results``.
    """

    config: Any
    call: Callable[[Subject, Any, Any], Any]
    formula: Callable[[Any, dict[str, Host]], Any]


def build_component(s: Subject, kind: str) -> Any:
    """Create the backend's component of ``"interface:kind"``."""
    return s.factory.create(kind.partition(":")[0], CALLS[kind].config)


def call_component(s: Subject, kind: str, component: Any, params: Any) -> Any:
    """Call a component on the inputs of its kind."""
    return CALLS[kind].call(s, component, params)


def _embed(s: Subject, rotary: RotaryConfig | None = None) -> Embedded:
    """The inputs of a stack, with RoPE by the backend's embedding if configured."""
    turn = None
    if rotary is not None:
        config = EmbeddingConfig(width=2, vocab=2, positions="rotary", rotary=rotary)
        table = {"tokens": {"weight": s.array(np.zeros((2, 2)))}}
        embedding = s.factory.create("embedding", config)
        turn = embedding(table, s.array(np.zeros_like(POSITIONS)), s.array(POSITIONS)).rotation
    return Embedded(s.array(_X), s.array(POSITIONS), turn)


def _own(p: Mapping[str, Host]) -> dict[str, Host]:
    """The parameters of a component, under the prefix that the formulas use."""
    return {f"own.{name}": x for name, x in p.items()}


_ROTARY = RotaryConfig(dim=4, theta=5e5)
_ATTENTION = AttentionConfig(width=12, heads=6, kv_heads=2, head_dim=4, bias=True, out_bias=True)
_QK_NORM = AttentionConfig(
    width=12,
    heads=4,
    kv_heads=2,
    head_dim=6,
    qk_norm=NormConfig(kind="rms", eps=1e-4, offset=0.5),
)
_PART = AttentionConfig(width=12, heads=3, head_dim=8, interleaved=6)
_WIDER = RotaryConfig(dim=6, theta=50.0)
"""RoPE of more elements than there are positions."""
_CROSS = AttentionConfig(width=12, heads=3, head_dim=4, bias=True, memory_width=10)
_MLP = MlpConfig(hidden=9)
_NORM = NormConfig(kind="rms", eps=1e-5)


def _view(s: Subject, rotary: RotaryConfig = _ROTARY) -> View:
    mask = visible(POSITIONS, POSITIONS, causal=True)
    turn = _embed(s, rotary).rotation
    return View(s.array(POSITIONS), s.array(POSITIONS), s.array(mask), turn)


def _multi_head(
    ar: Any,
    p: dict[str, Host],
    config: AttentionConfig = _ATTENTION,
    rotary: RotaryConfig = _ROTARY,
) -> Host:
    mask = visible(POSITIONS, POSITIONS, causal=True)
    turn = positions.rotation(ar, POSITIONS, rotary)
    own = _own(p)
    return multi_head(ar, ar.constant(_X), own, "own", config, mask, turn=turn)


_DECODER = TransformerConfig(
    width=12, layers=2, attention=_ATTENTION, cross=_CROSS, mlp=_MLP, norm=_NORM, causal=True
)
_ENCODER = TransformerConfig(
    width=12,
    layers=2,
    attention=AttentionConfig(width=12, heads=3, head_dim=4, bias=True),
    mlp=MlpConfig(hidden=9, activation="gelu", gated=False, bias=True),
    norm=NormConfig(kind="layer", eps=1e-5),
    pre_norm=False,
    final_norm=False,
)


def _memory(s: Subject) -> Memory:
    return Memory(s.array(_MEMORY), s.array(_SOURCE))


_GRU = RecurrentConfig(input_width=12, width=5, layers=2, cell="gru", bidirectional=True)
_LSTM = RecurrentConfig(input_width=12, width=5, layers=2, cell="lstm")
_FEED = FeedForwardConfig(widths=(12, 9, 4), activation="gelu", final_activation="tanh")
_EMBEDDING = EmbeddingConfig(
    width=12, vocab=11, positions="learned", context=7, offset=2, segments=3, norm=_NORM, scale=3.5
)


def _encode(s: Subject, c: Any, p: Any) -> Any:
    return c(p, _embed(s)).hidden


def _decode(s: Subject, c: Any, p: Any) -> Any:
    return c(p, _embed(s))


def _weights(s: Subject, c: Any, p: Any) -> Any:
    return c(p, s.array(_X), _view(s))[0]


def _x(ar: Any) -> Host:
    return ar.constant(_X)


def _call_loss(target: Host) -> Callable[[Subject, Any, Any], Any]:
    return lambda s, c, _: list(c(s.array(_X), s.array(target)))


def _total(ar: Any, losses: Host, count: float) -> list[Host]:
    return [ar.sum(ar.reshape(losses, (-1,)), 0), ar.full((), count)]


def _single(ar: Any, p: dict[str, Host]) -> Host:
    scores = linear(ar, _x(ar), p["scores.weight"])
    return activation.softmax(ar, scores) * _x(ar)


CALLS: Mapping[str, Kind] = MappingProxyType(
    {
        "embedding:token": Kind(
            _EMBEDDING,
            lambda s, c, p: c(p, s.array(_TOKENS), s.array(POSITIONS)).hidden,
            lambda ar, p: model.embed(ar, _TOKENS, POSITIONS, _own(p), "own", _EMBEDDING),
        ),
        "embedding:vectors": Kind(
            EmbeddingConfig(kind="vectors", width=12),
            lambda s, c, p: c(p, s.array(_X), s.array(POSITIONS)).hidden,
            lambda ar, _: _x(ar),
        ),
        "attention:multi_head": Kind(_ATTENTION, _weights, _multi_head),
        "attention:multi_head.normed": Kind(
            _QK_NORM, _weights, lambda ar, p: _multi_head(ar, p, _QK_NORM)
        ),
        "attention:multi_head.part": Kind(
            _PART,
            lambda s, c, p: c(p, s.array(_X), _view(s, _WIDER))[0],
            lambda ar, p: _multi_head(ar, p, _PART, _WIDER),
        ),
        "attention:single_vector": Kind(
            AttentionConfig(kind="single_vector", width=12, heads=1), _weights, _single
        ),
        "encoder:transformer": Kind(
            _ENCODER,
            _encode,
            lambda ar, p: stack(ar, _x(ar), POSITIONS, _own(p), "own", _ENCODER),
        ),
        "encoder:recurrent": Kind(
            _GRU,
            _encode,
            lambda ar, p: model.recurrent(ar, _x(ar), POSITIONS, _own(p), "own", _GRU)[0],
        ),
        "encoder:feed_forward": Kind(
            _FEED,
            _encode,
            lambda ar, p: model.feed_forward(ar, _x(ar), _own(p), "own", _FEED),
        ),
        "decoder:transformer": Kind(
            _DECODER,
            lambda s, c, p: c(p, _embed(s, _ROTARY), memory=_memory(s)),
            lambda ar, p: stack(
                ar,
                _x(ar),
                POSITIONS,
                _own(p),
                "own",
                _DECODER,
                rotary=_ROTARY,
                memory=(ar.constant(_MEMORY), _SOURCE),
            ),
        ),
        "decoder:recurrent": Kind(
            _LSTM,
            _decode,
            lambda ar, p: model.recurrent(ar, _x(ar), POSITIONS, _own(p), "own", _LSTM)[0],
        ),
        "decoder:feed_forward": Kind(
            _FEED,
            _decode,
            lambda ar, p: model.feed_forward(ar, _x(ar), _own(p), "own", _FEED),
        ),
        "loss:mse": Kind(
            LossConfig(kind="mse"),
            _call_loss(_TARGET),
            lambda ar, _: [
                120.0 * loss.mse(ar, _x(ar), ar.constant(_TARGET)),
                ar.full((), 120.0),
            ],
        ),
        "loss:cross_entropy": Kind(
            LossConfig(kind="cross_entropy", smoothing=0.1),
            _call_loss(_TARGETS),
            lambda ar, _: _total(ar, loss.cross_entropy(ar, _x(ar), _TARGETS, 0.1), 8.0),
        ),
        "loss:soft_cross_entropy": Kind(
            LossConfig(kind="soft_cross_entropy"),
            _call_loss(_TARGET),
            lambda ar, _: _total(
                ar, loss.soft_cross_entropy(ar, _x(ar), ar.constant(_TARGET)), 10.0
            ),
        ),
    }
)
"""The kinds, by ``"interface:kind"``."""
