"""Gradients and steps of training at their ends, each exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.beyond import whole_numbers
from lmkernel_conformance.cases.case import case

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject


@case(level="gradients", id="farther.delta.gradient", training=True)
def delta(s: Subject) -> None:
    """All that a linear layer with a difference is made of has a gradient, for x of four axes."""
    ops: Any = s.ops
    x, weight, bias = whole_numbers(2, 2, 3, 4), whole_numbers(5, 4), whole_numbers(5)
    down, up = whole_numbers(2, 4), whole_numbers(5, 2)
    probe = whole_numbers(2, 2, 3, 5) + 1

    def f(t: dict[str, Any]) -> Any:
        y = ops.linear(t["x"], t["weight"], t["bias"], (t["down"], t["up"]))
        return ops.sum(ops.reshape(y * s.array(probe), (-1,)), 0)

    given = {"x": x, "weight": weight, "bias": bias, "down": down, "up": up}
    _, found = ops.value_and_grad(f)(s.arrays(given))
    rows, g = x.reshape(-1, 4), probe.reshape(-1, 5)
    want = {
        "x": (probe @ weight + probe @ up @ down),
        "weight": g.T @ rows,
        "bias": g.sum(0),
        "down": (g @ up).T @ rows,
        "up": g.T @ (rows @ down.T),
    }
    for name, value in want.items():
        s.equal(f"gradient of {name}", found[name], value, s.dtype)


@case(level="gradients", id="farther.several", training=True)
def several(s: Subject) -> None:
    """Gradients of two functions, called in turn with trees of equal shapes, do not mix."""
    ops: Any = s.ops
    first = ops.value_and_grad(lambda t: ops.sum(t["a"] * t["a"] * t["b"], 0))
    second = ops.value_and_grad(lambda t: ops.sum(t["a"] - t["b"] * t["b"] * t["b"], 0))
    values = [{name: whole_numbers(70) + i for i, name in enumerate("ab")} for _ in range(3)]
    values[1]["a"], values[2]["b"] = values[0]["b"] - 3, values[0]["a"] * 2
    made = [(first(s.arrays(v))[1], second(s.arrays(v))[1]) for v in values]
    for i, (v, (one, other)) in enumerate(zip(values, made, strict=True)):
        a, b = v["a"], v["b"]
        s.equal(f"a of the first, call {i}", one["a"], 2 * a * b, s.dtype)
        s.equal(f"b of the first, call {i}", one["b"], a * a, s.dtype)
        s.equal(f"a of the second, call {i}", other["a"], np.ones(70), s.dtype)
        s.equal(f"b of the second, call {i}", other["b"], -3 * b * b, s.dtype)


@case(level="gradients", id="farther.classes.gradient", training=True, rows=(19,))
def classes(s: Subject) -> None:
    """Gradients beside classes that cannot be, and with the whole target smoothed; to 10 bits."""
    ops: Any = s.ops
    x = np.array([[0.0, -np.inf, 0.0, -np.inf], [0.0] * 4])
    targets = s.array(np.array([2, 1]))

    def total(t: Any, share: float) -> Any:
        return ops.sum(ops.cross_entropy(t, targets, share), 0)

    found = s.host(ops.value_and_grad(lambda t: total(t, 0.0))(s.array(x))[1])
    want = np.array([[0.5, 0, -0.5, 0], [0.25, -0.75, 0.25, 0.25]])
    s.equal("gradient", np.round(found * 1024), want * 1024)
    level = s.array(np.zeros((2, 4)))
    for share in (0.25, 0.75, 1.0):
        found = s.host(ops.value_and_grad(lambda t, share=share: total(t, share))(level)[1])
        want = 0.25 - (1 - share) * np.eye(4)[[2, 1]] - share / 4
        s.equal(f"smoothing {share}", np.round(found * 1024), np.asarray(want) * 1024)


@case(level="gradients", id="farther.maxima.gradient", training=True)
def maxima(s: Subject) -> None:
    """Gradients come back through maxima to attention, norms and products before them."""
    ops: Any = s.ops
    k, v = whole_numbers(2, 2, 4, 3), 4 * whole_numbers(2, 2, 4, 5)
    q, w = np.zeros((2, 2, 3, 3)), np.eye(5)

    def total(t: Any, larger: Any) -> Any:
        y = ops.attention(t["q"], t["k"], t["v"], None, scale=0.5)
        return ops.sum(ops.reshape(larger(ops.linear(y, t["w"])), (-1,)), 0)

    # every query sees all four alike, so that it gives their mean
    mean = np.broadcast_to(v.mean(2, keepdims=True), (2, 2, 3, 5))
    wants = {
        "maximum": (lambda y: ops.maximum(y, s.constant(0.5)), mean > 0.5),  # noqa: PLR2004 - the number before
        "minimum": (lambda y: ops.minimum(y, s.constant(0.5)), mean < 0.5),  # noqa: PLR2004 - the number before
    }
    given = {"q": q, "k": k, "v": v, "w": w}
    for name, (larger, chosen) in wants.items():
        _, found = ops.value_and_grad(lambda t, f=larger: total(t, f))(s.arrays(given))
        want = np.broadcast_to(chosen.sum(2, keepdims=True) / 4, v.shape)
        s.equal(f"values, {name}", found["v"], want, s.dtype)
        rows = np.where(chosen, 1.0, 0.0).reshape(-1, 5)
        s.equal(f"weights, {name}", found["w"], rows.T @ mean.reshape(-1, 5), s.dtype)


_COUNT, _BETA, _EPS, _RATE, _STEP = 10, 0.5, 1.0, 0.125, 5000


@case(level="training", id="farther.adam", training=True, rows=(22, 23))
def adam(s: Subject) -> None:
    """Ten parameters, many alike in shape, each with moments and decay of its own, late in a run.

    The roots are whole numbers and the rest are halves of them, so that nothing is rounded.
    """
    shapes = [(2, 3), (2, 3), (6,), (2, 3), (1, 6), (6,), (2, 3), (3, 2), (2, 3), (6,)]
    sizes = np.array([1.0, 3.0, 7.0, 15.0])
    hosts = []
    for i, shape in enumerate(shapes):
        order = (np.arange(6) + i) % 4
        g = np.reshape(sizes[order] * (-1.0) ** np.arange(6), shape)
        p, m = np.reshape(np.arange(6.0) - i, shape), np.reshape(i - 2 * np.arange(6.0), shape)
        hosts.append({"p": p, "g": g, "m": m, "v": g * g})
    decays = [0.0 if i % 3 == 0 else 2.0 ** -(i % 4) for i in range(_COUNT)]
    numbers = {"rate": _RATE, "grad_scale": 1.0, "step": _STEP, "first_scale": 1.0}
    scalars = {name: s.constant(float(x)) for name, x in {**numbers, "second_scale": 1.0}.items()}
    ops: Any = s.ops
    given = [[s.array(h[name]) for h in hosts] for name in "pgmv"]
    options = {"beta1": _BETA, "beta2": _BETA, "eps": _EPS, "decays": decays}
    moved, first, second = ops.adam_update(*given, scalars, **options)
    for i, (h, decay) in enumerate(zip(hosts, decays, strict=True)):
        m = _BETA * h["m"] + (1 - _BETA) * h["g"]
        p = h["p"] - _RATE * (decay * h["p"] + m / (np.abs(h["g"]) + _EPS))
        for name, got, want in (
            ("parameter", moved[i], p),
            ("first moment", first[i], m),
            ("second moment", second[i], h["v"]),
        ):
            s.equal(f"{name} {i}", got, want, s.dtype)
