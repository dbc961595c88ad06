"""Properties of attention and of RoPE, and the laws of attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.random import uniforms
from lmkernel_conformance.cases.trial import Trial
from lmkernel_conformance.exploration.draw import host
from lmkernel_conformance.exploration.property import NARROW, Property, trial_property
from lmkernel_conformance.oracle import attention as oracle
from lmkernel_conformance.oracle import positions

if TYPE_CHECKING:
    from lmkernel_conformance.exploration.draw import Draw, Example
    from lmkernel_conformance.subject import Subject

__all__ = ["PROPERTIES", "draw_heads"]

Host = Any

_MASKS = ("none", "random", "causal", "window", "nobody")


def draw_heads(d: Draw) -> Example:
    """The numbers of rows, key heads and query heads; the last is a multiple of the key heads'."""
    kv = d.integer(1, 3)
    return {"batch": d.integer(1, 3), "kv": kv, "heads": kv * d.integer(1, 3)}


def _draw_parts(d: Draw) -> Example:
    """Queries, keys and values, with head sizes that may differ."""
    h = draw_heads(d)
    time, slots, dim, value = (d.integer(1, 6) for _ in range(4))
    # Loud queries give scores near the limit of exp; scaling keys too would only square the factor.
    loud = d.pick((1.0, 10.0, 40.0))
    return {
        "q": d.array([h["batch"], h["heads"], time, dim], scales=(loud,), shifts=(0.0,)),
        "k": d.calm([h["batch"], h["kv"], slots, dim]),
        "v": d.calm([h["batch"], h["kv"], slots, value]),
    }


def _draw_mask(d: Draw, parts: Example) -> Example:
    batch, heads, time, _ = parts["q"]["shape"]
    slots = parts["k"]["shape"][2]
    shape = [batch, d.pick((1, heads)), time, slots]
    return {
        "kind": d.pick(_MASKS),
        "shape": d.ones(shape),
        "share": d.pick((0.5, 0.9, 0.2)),
        "seed": d.integer(0, 99),
        "padding": [d.integer(0, slots - 1) for _ in range(batch)],
        "window": d.integer(1, slots),
    }


def _draw_attention(d: Draw) -> Example:
    parts = _draw_parts(d)
    scores = [*parts["q"]["shape"][:3], parts["k"]["shape"][2]]
    return {
        **parts,
        "mask": _draw_mask(d, parts),
        "bias": d.pick((None, {**d.calm(scores), "shape": d.ones(scores)})),
        "scale": d.pick((1.0, 0.37)),
        "softcap": d.pick((None, 1.7, 30.0)),
    }


def _mask(drawn: Example) -> Host:
    """The mask that an example describes, or None."""
    about = drawn["mask"]
    batch, _, time, _ = drawn["q"]["shape"]
    slots = drawn["k"]["shape"][2]
    if about["kind"] == "none":
        return None
    if about["kind"] == "random":
        shape = tuple(about["shape"])
        draws = uniforms(about["seed"], "explore.mask", int(np.prod(shape)))
        return draws.reshape(shape) < about["share"]
    if about["kind"] == "nobody":
        return np.zeros((batch, 1, time, slots), bool)
    # Causal masks are made from positions, as models make them: each row is padded on the left by
    # its own number of slots, and the queries are the last ones, so some may be padding themselves.
    where = np.array([np.arange(slots) - p for p in about["padding"]])
    keys = np.maximum(where, -1)
    queries = np.array([np.arange(slots - time, slots) - p for p in about["padding"]])
    window = about["window"] if about["kind"] == "window" else None
    return oracle.visible(np.maximum(queries, -1), keys, causal=True, window=window)


def _attention(drawn: Example) -> Trial:
    mask = _mask(drawn)
    inputs = {name: host(name, drawn[name]) for name in "qkv"}
    if drawn["bias"] is not None:
        inputs["bias"] = host("bias", drawn["bias"])
    options = {"scale": drawn["scale"], "softcap": drawn["softcap"]}
    return Trial(
        inputs=inputs,
        fixed={} if mask is None else {"mask": mask},
        native=lambda s, t: s.ops.attention(
            t["q"], t["k"], t["v"], t.get("mask"), bias=t.get("bias"), **options
        ),
        formula=lambda ar, t: oracle.attention(
            ar, t["q"], t["k"], t["v"], mask, bias=t.get("bias"), **options
        ),
    )


def _draw_narrow(d: Draw) -> Example:
    """An example in 16 bits: without a bias, which would be float32, and with small scores.

    16 bits keep too few digits of a large score to judge the softmax after it.
    """
    parts = _draw_parts(d)
    parts["q"]["scale"] = 1.0
    return {
        **parts,
        "mask": _draw_mask(d, parts),
        "bias": None,
        "scale": d.pick((1.0, 0.37)),
        "softcap": None,
    }


def _draw_poison(d: Draw) -> Example:
    return {**_draw_attention(d), "poison": d.pick(("nan", "inf"))}


def _check_poison(s: Subject, drawn: Example) -> None:
    """NaN or infinity in slots that no query of a row sees does not reach the output."""
    trial, mask = _attention(drawn), _mask(drawn)
    hosts = s.round({**trial.inputs, **trial.fixed})
    shape = (*drawn["q"]["shape"][:3], drawn["k"]["shape"][2])
    seen = np.ones(shape, bool) if mask is None else np.broadcast_to(mask, shape)
    unseen = ~seen.any((1, 2))
    for name in "kv":
        part = hosts[name].swapaxes(1, 2)
        part[unseen] = float(drawn["poison"])
    floats = {n: x for n, x in hosts.items() if n != "mask"}
    s.agree(
        "value",
        trial.native(s, s.arrays(hosts)),
        lambda ar: trial.formula(ar, {n: ar.constant(x) for n, x in floats.items()}),
    )


def _draw_causality(d: Draw) -> Example:
    h, time = draw_heads(d), d.integer(2, 6)
    dim = d.integer(1, 6)
    return {
        "q": d.calm([h["batch"], h["heads"], time, dim]),
        "k": d.calm([h["batch"], h["kv"], time, dim]),
        "v": d.calm([h["batch"], h["kv"], time, d.integer(1, 6)]),
        "changed": d.integer(1, time - 1),
        "by": d.pick((1.0, 1e3, 1e9)),
        "softcap": d.pick((None, 1.7)),
    }


def _check_causality(s: Subject, drawn: Example) -> None:
    """Changing a later slot does not change an earlier output by a single bit."""
    q, k, v = (host(name, drawn[name]) for name in "qkv")
    at = drawn["changed"]
    where = np.array([range(q.shape[2])] * q.shape[0])
    mask = s.array(oracle.visible(where, where, causal=True))
    options = {"scale": 0.7, "softcap": drawn["softcap"]}

    def attend() -> Host:
        queries, keys, values = s.arrays([q, k, v])
        return s.host(s.ops.attention(queries, keys, values, mask, **options))

    before = attend()
    k[:, :, at:] += drawn["by"]
    v[:, :, at:] -= drawn["by"]
    s.equal(f"outputs before {at}", attend()[:, :, :at], before[:, :, :at])


def _draw_permutation(d: Draw) -> Example:
    parts = _draw_parts(d)
    parts["q"]["scale"] = 1.0
    order = list(range(parts["k"]["shape"][2]))
    order = [order.pop(d.integer(0, len(order) - 1)) for _ in list(order)]
    return {**parts, "order": order, "padding": d.integer(0, 3), "seed": d.integer(0, 99)}


def _check_permutation(s: Subject, drawn: Example) -> None:
    """Reordering the slots, and adding slots that nobody sees, changes nothing."""
    q, k, v = s.round([host(name, drawn[name]) for name in "qkv"])
    order, more = np.array(drawn["order"]), drawn["padding"]

    def formula(ar: Any) -> Host:
        queries, keys, values = map(ar.constant, (q, k, v))
        return oracle.attention(ar, queries, keys, values, None, scale=0.6)

    widened = [(0, 0), (0, 0), (0, more), (0, 0)]
    other = [np.pad(x[:, :, order], widened, constant_values=7.0) for x in (k, v)]
    shown = np.arange(len(order) + more) < len(order)
    mask = np.broadcast_to(shown, (q.shape[0], 1, q.shape[2], len(order) + more)).copy()
    queries, keys, values = s.arrays([q, *other])
    s.agree("value", s.ops.attention(queries, keys, values, s.array(mask), scale=0.6), formula)


def _draw_rotate(d: Draw) -> Example:
    batch, heads, time, half = (d.integer(1, 4) for _ in range(4))
    width = 2 * half + d.integer(0, 3)
    return {"x": d.array([batch, heads, time, width]), "angles": d.calm([batch, 1, time, half])}


def _rotate(drawn: Example) -> Trial:
    angles = 3 * host("angles", drawn["angles"])
    return Trial(
        inputs={"x": host("x", drawn["x"]), "cos": np.cos(angles), "sin": np.sin(angles)},
        native=lambda s, t: s.ops.rotate(t["x"], t["cos"], t["sin"]),
        formula=lambda ar, t: positions.rotate(ar, t["x"], t["cos"], t["sin"]),
    )


PROPERTIES = (
    trial_property("attention", _draw_attention, _attention, saturates=True),
    trial_property(
        "attention, 16 bits", _draw_narrow, _attention, dtypes=NARROW[2:], gradients=False
    ),
    Property(name="attention, unseen slots", draw=_draw_poison, check=_check_poison),
    Property(name="attention, causality", draw=_draw_causality, check=_check_causality),
    Property(name="attention, order and padding", draw=_draw_permutation, check=_check_permutation),
    trial_property("rotate", _draw_rotate, _rotate),
)
