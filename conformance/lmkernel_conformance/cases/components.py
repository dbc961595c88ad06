"""Components: each kind against the oracle, values and gradients, and cases of single kinds."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import (
    AttentionConfig,
    FeedForwardConfig,
    RecurrentConfig,
)
from lmkernel.interfaces import Embedded, View
from lmkernel.parameters import flatten, nest
from lmkernel_conformance.cases.case import Case, case
from lmkernel_conformance.cases.kinds import CALLS, POSITIONS, build_component
from lmkernel_conformance.cases.trial import Trial, check_gradients, check_values, trial
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.inputs import normal, parameters
from lmkernel_conformance.oracle import model
from lmkernel_conformance.oracle.attention import visible
from lmkernel_conformance.oracle.transformer import multi_head

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any

_ROWS = {
    "embedding:token": (11,),
    "attention:multi_head": (7, 10),
    "decoder:transformer": (1, 8, 10),
    "encoder:recurrent": (27,),
    "decoder:recurrent": (27,),
    "encoder:transformer": (12, 13),
    "loss:cross_entropy": (19, 20),
}


def _kind_trial(s: Subject, kind: str) -> Trial:
    component = build_component(s, kind)
    declared = component.declare()
    hosts = parameters(f"kind.{kind}", flatten(declared))
    return Trial(
        inputs=hosts,
        native=lambda x, t: CALLS[kind].call(x, build_component(x, kind), nest(declared, t)),
        formula=CALLS[kind].formula,
    )


def _kind_cases(kind: str) -> list[Case]:
    name, rows = kind.replace(":", "."), _ROWS.get(kind, ())
    plain = Case(
        level="components",
        name=f"kind.{name}",
        run=lambda s: check_values(s, _kind_trial(s, kind)),
        rows=rows,
        doc=f"{kind}: values, with biases, padding and unequal heads.",
    )
    if kind == "embedding:vectors" or kind.startswith("loss:"):
        return [plain]
    gradient = Case(
        level="components",
        name=f"kind.{name}.gradient",
        run=lambda s: check_gradients(s, _kind_trial(s, kind)),
        rows=rows,
        training=True,
        doc=f"{kind}: the gradient of every parameter.",
    )
    return [plain, gradient]


KINDS = tuple(component for kind in CALLS for component in _kind_cases(kind))


@trial(id="attention.view_bias", level="components")
def view_bias() -> Trial:
    """A bias in the view is added to the scores of every head."""
    config = AttentionConfig(width=12, heads=6, kv_heads=2, head_dim=4)
    mask = visible(POSITIONS, POSITIONS, causal=True)
    declared = {"q": (24, 12), "k": (8, 12), "v": (8, 12), "o": (12, 24)}
    weights = {
        f"{name}.weight": normal(f"view_bias.{name}", *shape, scale=0.4)
        for name, shape in declared.items()
    }

    def native(s: Subject, t: dict[str, Any]) -> Any:
        component = s.factory.create("attention", config)
        where = s.array(POSITIONS)
        view = View(where, where, s.array(mask), bias=t["bias"])
        return component(nest(component.declare(), t), t["x"], view)[0]

    def formula(ar: Any, t: dict[str, Host]) -> Host:
        own = {f"own.{name}": x for name, x in t.items()}
        return multi_head(ar, t["x"], own, "own", config, mask, bias=t["bias"])

    inputs = {"x": normal("view_bias.x", 2, 5, 12), "bias": normal("view_bias", 1, 6, 5, 5)}
    return Trial(inputs={**inputs, **weights}, native=native, formula=formula)


@case(level="components", id="attention.window_kept")
def window_kept(s: Subject) -> None:
    """Under a window a KV cache holds no more slots than that, however many there is room for."""
    batch, kv, head_dim, window = 2, 3, 4, 5
    plain = AttentionConfig(width=24, heads=6, kv_heads=kv, head_dim=head_dim, window=window)
    dtype: Any = s.dtype
    for config in (plain, replace(plain, sinks=True)):
        cache = s.factory.create("attention", config).cache(batch, 40, dtype)
        held = sum(math.prod(getattr(leaf, "shape", ())) for leaf in flatten(cache).values())
        most = 2 * batch * kv * window * head_dim
        if held > most:
            raise Discrepancy(f"{s.label}: expected {most} numbers held at most, got {held}")


def _dense(kind: str, widths: tuple[int, ...], final: str) -> Trial:
    config = FeedForwardConfig(widths=widths, final_activation=final)
    inputs = {"x": normal(f"dense.{kind}", 1, 4, widths[0])}
    for i, (into, out) in enumerate(pairwise(widths)):
        shape = (out, into)
        inputs[f"layers.{i}.weight"] = normal(f"dense.{kind}.{i}", *shape, scale=into**-0.5)
        inputs[f"layers.{i}.bias"] = normal(f"dense.{kind}.{i}.b", out, scale=0.2)
    where = np.arange(4)[None]

    def native(s: Subject, t: dict[str, Any]) -> Any:
        component = s.factory.create(kind, config)
        called = component(nest(component.declare(), t), Embedded(t["x"], s.array(where)))
        return called.hidden if kind == "encoder" else called

    def formula(ar: Any, t: dict[str, Host]) -> Host:
        own = {f"own.{name}": x for name, x in t.items()}
        return model.feed_forward(ar, t["x"], own, "own", config)

    return Trial(inputs=inputs, native=native, formula=formula)


@trial(id="document.encoder", level="components")
def tutorial_encoder() -> Trial:
    """The tutorial's encoder, 3→128→64→32→16, ReLU."""
    return _dense("encoder", (3, 128, 64, 32, 16), "relu")


@trial(id="document.decoder", level="components")
def tutorial_decoder() -> Trial:
    """The tutorial's decoder, the encoder mirrored, with a linear output."""
    return _dense("decoder", (16, 32, 64, 128, 3), "none")


@trial(id="document.decoder.softmax", level="components")
def tutorial_decoder_softmax() -> Trial:
    """The same with a distribution over four tokens."""
    return _dense("decoder", (16, 32, 64, 128, 4), "softmax")


def _recurrent(cell: str) -> Trial:
    """Two layers, both directions, odd length, padding, states that are not zero."""
    config = RecurrentConfig(input_width=4, width=3, layers=2, cell=cell, bidirectional=True)
    gates, kinds = (4, ("h", "c")) if cell == "lstm" else (3, ("h",))
    inputs = {"x": normal(f"{cell}.x", 2, 5, 4)}
    for i, into in enumerate((4, 6)):
        for way in ("forward", "backward"):
            at = f"layers.{i}.{way}"
            for part, width in (("input", into), ("state", 3)):
                name = f"{at}.{part}"
                inputs[f"{name}.weight"] = normal(f"{cell}.{name}", gates * 3, width, scale=0.7)
                inputs[f"{name}.bias"] = normal(f"{cell}.{name}.b", gates * 3, scale=0.5)
            for kind in kinds:
                inputs[f"{at}.{kind}"] = normal(f"{cell}.{at}.{kind}", 2, 3)

    def states(t: dict[str, Any]) -> list[dict[str, dict[str, Any]]]:
        ways = ("forward", "backward")
        return [{w: {k: t[f"layers.{i}.{w}.{k}"] for k in kinds} for w in ways} for i in range(2)]

    def native(s: Subject, t: dict[str, Any]) -> list[Any]:
        component = s.factory.create("encoder", config)
        embedded = Embedded(t["x"], s.array(POSITIONS))
        # Some frameworks sort the keys of a mapping, so its order must not decide anything.
        turned = [dict(reversed(layer.items())) for layer in states(t)]
        memory = component(nest(component.declare(), t), embedded, state=turned)
        return [memory.hidden, *(layer[k] for layer in memory.state for k in kinds)]

    def formula(ar: Any, t: dict[str, Host]) -> list[Host]:
        own = {f"own.{name}": x for name, x in t.items()}
        y, last = model.recurrent(ar, t["x"], POSITIONS, own, "own", config, states(t))
        return [y, *(ar.concat([e[w][k] for w in e], -1) for e in last for k in kinds)]

    return Trial(inputs=inputs, native=native, formula=formula)


@trial(id="gru", level="components", rows=(27,))
def gru() -> Trial:
    """GRU, two layers, both directions, from states that are not zero."""
    return _recurrent("gru")


@trial(id="lstm", level="components", rows=(27,))
def lstm() -> Trial:
    """LSTM, two layers, both directions, from states that are not zero."""
    return _recurrent("lstm")


@case(level="components", id="recurrent.padding", rows=(11,))
def recurrent_padding(s: Subject) -> None:
    """Padding on either side does not change a row's outputs or its last state."""
    config = RecurrentConfig(input_width=4, width=3, layers=2, cell="gru", bidirectional=True)
    component = s.factory.create("encoder", config)
    hosts = s.round(parameters("rnn.pad", flatten(component.declare())))
    params = s.arrays(nest(component.declare(), hosts))
    x = s.round(normal("rnn.pad.x", 1, 3, 4))
    limit, last = s.budgets("alone", lambda ar: _run_alone(ar, config, hosts, x))
    for left in (True, False):
        parts = [np.full((1, 2, 4), 9.0), x]
        wide = np.concatenate(parts if left else parts[::-1], 1)
        where = np.array([[-1, -1, 0, 1, 2]] if left else [[0, 1, 2, -1, -1]])
        padded = component(params, Embedded(s.array(wide), s.array(where)))
        hidden = s.host(padded.hidden)
        s.judge(f"outputs, left={left}", hidden[:, 2:] if left else hidden[:, :3], limit)
        s.equal("padding", hidden[:, :2] if left else hidden[:, 3:], np.zeros((1, 2, 6)))
        s.judge(f"last state, left={left}", s.host(padded.state[-1]["h"]), last)


def _run_alone(ar: Any, config: RecurrentConfig, hosts: Host, x: Host) -> list[Host]:
    """Outputs and the last layer's last state of three unpadded positions."""
    own = {f"own.{name}": ar.constant(v) for name, v in hosts.items()}
    y, last = model.recurrent(ar, ar.constant(x), np.arange(3)[None], own, "own", config)
    return [y, ar.concat([last[-1][way]["h"] for way in last[-1]], -1)]
