"""Properties of linear layers, normalisations, softmax, recurrent cells and losses."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.trial import Trial
from lmkernel_conformance.exploration.draw import host
from lmkernel_conformance.exploration.property import NARROW, Property, trial_property
from lmkernel_conformance.oracle import activation, loss, norm, recurrent

if TYPE_CHECKING:
    from lmkernel_conformance.exploration.draw import Draw, Example
    from lmkernel_conformance.subject import Subject

__all__ = ["PROPERTIES"]

Host = Any

_LOGITS = (1.0, 30.0, 1000.0)


def _draw_softmax(d: Draw) -> Example:
    shape = d.shape(1, 4, 6)
    x = d.array(shape, scales=_LOGITS, shifts=(0.0, 1000.0, -1000.0))
    return {"x": x, "axis": d.axis(len(shape))}


def _softmax(name: str, drawn: Example) -> Trial:
    axis = drawn["axis"]
    return Trial(
        inputs={"x": host("x", drawn["x"])},
        native=lambda s, t: getattr(s.ops, name)(t["x"], axis),
        formula=lambda ar, t: getattr(activation, name)(ar, t["x"], axis),
    )


def _draw_norm(d: Draw) -> Example:
    width = d.integer(3, 9)  # two centred elements are ±a: the gradient is next to zero
    x = d.array([*d.shape(0, 3, 3), width], (1.0, 1e-3, 100.0), (0.0,))
    x["shift"] = x["scale"] * d.pick((0.0, 0.5, -20.0))
    about = {"x": x, "weight": d.calm([width]), "bias": d.pick((None, d.calm([width])))}
    return {**about, "eps": d.pick((1e-5, 1e-6, 1e-12))}


def _layer_norm(drawn: Example) -> Trial:
    names = [n for n in ("x", "weight", "bias") if drawn[n] is not None]
    eps = drawn["eps"]
    return Trial(
        inputs={n: host(n, drawn[n]) for n in names},
        native=lambda s, t: s.ops.layer_norm(t["x"], t["weight"], t.get("bias"), eps),
        formula=lambda ar, t: norm.layer_norm(ar, t["x"], t["weight"], t.get("bias"), eps),
    )


def _rms_norm(drawn: Example) -> Trial:
    eps = drawn["eps"]
    return Trial(
        inputs={n: host(n, drawn[n]) for n in ("x", "weight")},
        native=lambda s, t: s.ops.rms_norm(t["x"], t["weight"], eps),
        formula=lambda ar, t: norm.rms_norm(ar, t["x"], t["weight"], eps),
    )


def _draw_linear(d: Draw) -> Example:
    out, into, rank = d.integer(1, 7), d.integer(1, 7), d.integer(1, 3)
    found = {"x": d.array([*d.shape(0, 3, 3), into]), "weight": d.calm([out, into])}
    if d.flag():
        found["bias"] = d.calm([out])
    if d.flag():
        found |= {"a": d.calm([rank, into]), "b": d.calm([out, rank])}
    return found


def _linear(drawn: Example, *, packed: bool = False) -> Trial:
    def delta(t: dict[str, Any]) -> Any:
        return (t["a"], t["b"]) if "a" in t else None

    def native(s: Subject, t: dict[str, Any]) -> Any:
        weight = s.ops.pack_linear(t["weight"]) if packed else t["weight"]
        return s.ops.linear(t["x"], weight, t.get("bias"), delta(t))

    return Trial(
        inputs={n: host(n, x) for n, x in drawn.items() if n != "way"},
        native=native,
        formula=lambda ar, t: norm.linear(ar, t["x"], t["weight"], t.get("bias"), delta(t)),
    )


def _draw_packing(d: Draw) -> Example:
    return {**_draw_linear(d), "indices": d.integers(d.shape(0, 3, 3), 0, 0)}


def _check_packing(s: Subject, drawn: Example) -> None:
    """A packed weight multiplies as the plain one, has its rows, and unpacks to it."""
    parts = {n: x for n, x in drawn.items() if n != "indices"}
    trial = _linear(parts, packed=True)
    hosts = s.round(trial.inputs)
    s.agree(
        "linear",
        trial.native(s, s.arrays(trial.inputs)),
        lambda ar: trial.formula(ar, {n: ar.constant(x) for n, x in hosts.items()}),
    )
    weight = hosts["weight"]
    handle = s.ops.pack_linear(s.array(weight))
    s.equal("unpack_linear", s.ops.unpack_linear(handle), weight, s.dtype)
    index = (np.arange(np.size(drawn["indices"])) * 5 % len(weight)).reshape(
        np.shape(drawn["indices"])
    )
    for what in (handle, s.array(weight)):
        s.equal("take_rows", s.ops.take_rows(what, s.array(index)), weight[index], s.dtype)


def _draw_experts(d: Draw) -> Example:
    out, into = d.integer(1, 4), d.integer(1, 6)
    return {"x": d.calm([d.integer(1, 12), into]), "weight": d.calm([d.integer(1, 5), out, into])}


def _experts(drawn: Example) -> Trial:
    inputs = {n: host(n, x) for n, x in drawn.items() if n != "way"}
    rows, count = len(inputs["x"]), len(inputs["weight"])
    chosen = np.arange(rows) * 5 % count
    return Trial(
        inputs=inputs,
        fixed={"experts": chosen},
        native=lambda s, t: s.ops.expert_linear(t["x"], t["weight"], t["experts"]),
        formula=lambda ar, t: ar.concat(
            [norm.linear(ar, t["x"][i : i + 1], t["weight"][chosen[i]]) for i in range(rows)], 0
        ),
    )


def _draw_cell(gates: int) -> Any:
    def draw(d: Draw) -> Example:
        batch, width = d.integer(1, 4), d.integer(1, 5)
        loud = (1.0, 8.0)
        found = {
            "x": d.array([batch, gates * width], loud, (0.0,)),
            "h": d.calm([batch, width]),
            "c": d.array([batch, width], loud, (0.0,)),
            "weight": d.calm([gates * width, width]),
        }
        return {**found, "bias": d.pick((None, d.calm([gates * width])))}

    return draw


def _cell(name: str, drawn: Example) -> Trial:
    states = ("h", "c") if name == "lstm_cell" else ("h",)
    names = ("x", *states, "weight", *(["bias"] if drawn["bias"] is not None else []))

    def call(f: Any, t: dict[str, Any]) -> list[Any]:
        found = f(t["x"], *(t[n] for n in states), t["weight"], t.get("bias"))
        return list(found) if name == "lstm_cell" else [found]

    return Trial(
        inputs={n: host(n, drawn[n]) for n in names},
        native=lambda s, t: call(getattr(s.ops, name), t),
        formula=lambda ar, t: call(functools.partial(getattr(recurrent, name), ar), t),
    )


def _draw_cross_entropy(d: Draw) -> Example:
    front, classes = d.shape(0, 3, 3), d.integer(2, 8)
    return {
        "logits": d.array([*front, classes], _LOGITS, (0.0, 1000.0)),
        "targets": d.integers(front, -1, classes - 1),
        "ignored": d.pick((-1, -100)),
        "smoothing": d.pick((0.0, 0.1, 0.9)),
    }


def _cross_entropy(drawn: Example) -> Trial:
    targets, smoothing = np.array(drawn["targets"], np.int64), drawn["smoothing"]
    targets = np.where(targets < 0, drawn["ignored"], targets)
    return Trial(
        inputs={"logits": host("logits", drawn["logits"])},
        fixed={"targets": targets},
        native=lambda s, t: s.ops.cross_entropy(t["logits"], t["targets"], smoothing),
        formula=lambda ar, t: loss.cross_entropy(ar, t["logits"], targets, smoothing),
    )


def _draw_soft(d: Draw) -> Example:
    shape = [*d.shape(0, 3, 3), d.integer(1, 8)]
    return {"logits": d.array(shape, _LOGITS, (0.0, 1000.0)), "target": d.calm(shape)}


def _soft(drawn: Example) -> Trial:
    powers = np.exp(host("target", drawn["target"]))
    return Trial(
        inputs={
            "logits": host("logits", drawn["logits"]),
            "target": powers / powers.sum(-1, keepdims=True),
        },
        native=lambda s, t: s.ops.soft_cross_entropy(t["logits"], t["target"]),
        formula=lambda ar, t: loss.soft_cross_entropy(ar, t["logits"], t["target"]),
    )


def _draw_mse(d: Draw) -> Example:
    shape = d.shape(0, 4)
    return {"y": d.array(shape), "t": d.array(shape)}


def _mse(drawn: Example) -> Trial:
    return Trial(
        inputs={n: host(n, drawn[n]) for n in ("y", "t")},
        native=lambda s, t: s.ops.mse(t["y"], t["t"]),
        formula=lambda ar, t: loss.mse(ar, t["y"], t["t"]),
    )


PROPERTIES = (
    *(
        trial_property(
            name, _draw_softmax, functools.partial(_softmax, name), dtypes=dtypes, saturates=True
        )
        for name, dtypes in (("softmax", NARROW), ("log_softmax", NARROW[:2]))
    ),
    trial_property("layer_norm", _draw_norm, _layer_norm, dtypes=NARROW),
    trial_property("rms_norm", _draw_norm, _rms_norm, dtypes=NARROW),
    trial_property("linear", _draw_linear, _linear),
    trial_property("expert_linear", _draw_experts, _experts),
    Property(name="pack_linear, take_rows", draw=_draw_packing, check=_check_packing),
    trial_property("gru_cell", _draw_cell(3), functools.partial(_cell, "gru_cell"), saturates=True),
    trial_property(
        "lstm_cell", _draw_cell(4), functools.partial(_cell, "lstm_cell"), saturates=True
    ),
    trial_property(
        "cross_entropy", _draw_cross_entropy, _cross_entropy, dtypes=NARROW, saturates=True
    ),
    trial_property("soft_cross_entropy", _draw_soft, _soft, saturates=True),
    trial_property("mse", _draw_mse, _mse),
)
