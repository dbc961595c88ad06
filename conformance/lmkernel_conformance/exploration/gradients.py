"""Properties of gradients, loops, and gradient checkpointing (``remat``)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.cases.trial import Trial
from lmkernel_conformance.exploration.draw import host
from lmkernel_conformance.exploration.property import Property, trial_property
from lmkernel_conformance.oracle.tape import raw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel_conformance.exploration.draw import Draw, Example
    from lmkernel_conformance.subject import Subject

__all__ = ["PROPERTIES"]

Host = Any


def _draw_scan(d: Draw) -> Example:
    steps, batch, width = d.integer(1, 5), d.integer(1, 3), d.integer(1, 4)
    return {
        "xs": d.calm([steps, batch, width]),
        "scale": d.calm([steps]),
        "h": d.calm([batch, width]),
        "w": d.calm([width, width]),
        "reverse": d.flag(),
    }


def _scan(drawn: Example) -> Trial:
    """A recurrence h ← tanh(h·w + x)·s; the outputs are h² of each step, and the last h."""

    def native(s: Subject, t: dict[str, Any]) -> list[Any]:
        def step(h: Any, now: Any) -> Any:
            h = s.ops.tanh(s.ops.matmul(h, t["w"]) + now["x"]) * now["s"]
            return h, h * h

        xs = {"x": t["xs"], "s": t["scale"]}
        last, ys = s.ops.scan(step, t["h"], xs, reverse=drawn["reverse"])
        return [last, ys]

    def formula(ar: Any, t: dict[str, Any]) -> list[Any]:
        h, found, (steps, batch, width) = t["h"], {}, drawn["xs"]["shape"]
        order = range(steps)
        for i in reversed(order) if drawn["reverse"] else order:
            h = ar.tanh(ar.matmul(h, t["w"]) + t["xs"][i]) * t["scale"][i]
            found[i] = ar.reshape(h * h, (1, batch, width))
        return [h, ar.concat([found[i] for i in order], 0)]

    inputs = {name: host(name, drawn[name]) for name in ("xs", "scale", "h", "w")}
    return Trial(inputs=inputs, native=native, formula=formula)


def _draw_remat(d: Draw) -> Example:
    n, m = d.integer(1, 5), d.integer(1, 5)
    return {"x": d.calm([d.integer(1, 3), n]), "w": d.calm([n, m])}


def _remat(drawn: Example) -> Trial:
    def native(s: Subject, t: dict[str, Any]) -> Any:
        f = s.ops.remat(lambda w, x: s.ops.tanh(s.ops.matmul(x, w)) * s.constant(3.0))
        return f(t["w"], t["x"])

    return Trial(
        inputs={name: host(name, drawn[name]) for name in ("x", "w")},
        native=native,
        formula=lambda ar, t: ar.tanh(ar.matmul(t["x"], t["w"])) * 3.0,
    )


def _stop(drawn: Example) -> Trial:
    """The product x·stop_gradient(y·x), whose second factor is a constant to gradients."""
    return Trial(
        inputs={name: host(name, drawn[name]) for name in ("x", "y")},
        native=lambda s, t: t["x"] * s.ops.stop_gradient(t["y"] * t["x"]) + 0.0 * t["y"],
        formula=lambda _, t: t["x"] * (raw(t["y"]) * raw(t["x"])) + 0.0 * t["y"],
    )


def _draw_stop(d: Draw) -> Example:
    shape = d.shape(0, 3)
    return {"x": d.calm(shape), "y": d.calm(shape)}


def _draw_tree(d: Draw) -> Example:
    leaves = [d.calm(d.shape(0, 3)) for _ in range(d.integer(1, 4))]
    return {
        "leaves": leaves,
        "used": [d.integer(0, 2) for _ in leaves],
        "nested": d.flag(),
        "aux": d.flag(),
        "compiled": d.integer(0, 5) == 1,
    }


def _check_tree(s: Subject, drawn: Example) -> None:
    """Σ used·x² over a tree has the gradient 2·used·x in each leaf; unused leaves get zeros."""
    ops: Any = s.ops
    hosts = [s.round(host(f"leaf{i}", x)) for i, x in enumerate(drawn["leaves"])]
    used, nested, aux = drawn["used"], drawn["nested"], drawn["aux"]

    def total(tree: Any) -> Any:
        leaves = tree["in"]["list"] if nested else tree
        value = s.constant(0.0)
        for count, x in zip(used, leaves, strict=True):
            for _ in range(count):
                value = value + ops.sum(ops.reshape(x * x, (-1,)), 0)
        return (value, {"twice": value + value}) if aux else value

    g = ops.value_and_grad(total, aux=aux)
    leaves = s.arrays(list(hosts))
    out, found = (ops.compile(g) if drawn["compiled"] else g)(
        {"in": {"list": leaves}} if nested else leaves
    )
    _judge_tree(s, hosts, used, out[0] if aux else out)
    got = found["in"]["list"] if nested else found
    for i, (count, x, y) in enumerate(zip(used, hosts, got, strict=True)):
        s.agree(f"gradient of leaf {i}", y, functools.partial(_slope, x=x, count=count))


def _slope(ar: Any, *, x: Host, count: int) -> Host:
    return ar.constant(x) * (2.0 * count)


def _judge_tree(s: Subject, hosts: Sequence[Host], used: Sequence[int], value: Any) -> None:
    def formula(ar: Any) -> Host:
        parts = [
            ar.reshape(ar.constant(x), (-1,))
            for n, x in zip(used, hosts, strict=True)
            for _ in range(n)
        ]
        flat = ar.concat([*parts, ar.full((1,), 0.0)], 0)
        return ar.sum(flat * flat, 0)

    s.agree("value", value, formula)


PROPERTIES = (
    trial_property("scan", _draw_scan, _scan),
    trial_property("remat", _draw_remat, _remat),
    trial_property("stop_gradient", _draw_stop, _stop),
    Property(name="value_and_grad", draw=_draw_tree, check=_check_tree),
)
