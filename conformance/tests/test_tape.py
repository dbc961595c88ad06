"""The oracle's own differentiation, against central differences."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel_conformance.oracle import activation, attention, loss, norm, positions, recurrent
from lmkernel_conformance.oracle.arithmetic import Arithmetic
from lmkernel_conformance.oracle.tape import gradient

if TYPE_CHECKING:
    from collections.abc import Callable

_RANDOM = np.random.default_rng(5)


def _draw(*shape: int) -> np.ndarray:
    return _RANDOM.normal(size=shape)


_MASK = np.tril(np.ones((1, 1, 3, 5), bool), 1)
_MASK[..., 2, :] = False

FORMULAS: dict[str, tuple[Callable[[Arithmetic, Any], Any], dict[str, np.ndarray]]] = {
    "softmax": (lambda ar, t: activation.softmax(ar, t["x"], 0), {"x": _draw(3, 4)}),
    "log_softmax": (lambda ar, t: activation.log_softmax(ar, t["x"]), {"x": _draw(3, 4)}),
    "gelu": (lambda ar, t: activation.gelu(ar, t["x"]), {"x": _draw(7)}),
    "gelu_tanh": (lambda ar, t: activation.gelu_tanh(ar, t["x"]), {"x": _draw(7)}),
    "swiglu": (lambda ar, t: activation.swiglu(ar, t["x"]), {"x": _draw(2, 6)}),
    "linear": (
        lambda ar, t: norm.linear(ar, t["x"], t["w"], t["b"], (t["a"], t["c"])),
        {"x": _draw(2, 3, 4), "w": _draw(5, 4), "b": _draw(5), "a": _draw(2, 4), "c": _draw(5, 2)},
    ),
    "layer_norm": (
        lambda ar, t: norm.layer_norm(ar, t["x"], t["w"], t["b"], 1e-3),
        {"x": _draw(3, 5), "w": _draw(5), "b": _draw(5)},
    ),
    "rms_norm": (
        lambda ar, t: norm.rms_norm(ar, t["x"], t["w"], 1e-3),
        {"x": _draw(3, 5), "w": _draw(5)},
    ),
    "attention": (
        lambda ar, t: attention.attention(
            ar, t["q"], t["k"], t["v"], _MASK, scale=0.4, bias=t["bias"], softcap=1.5
        ),
        {
            "q": _draw(2, 4, 3, 3),
            "k": _draw(2, 2, 5, 3),
            "v": _draw(2, 2, 5, 6),
            "bias": _draw(1, 4, 3, 5),
        },
    ),
    "rotate": (
        lambda ar, t: positions.rotate(ar, t["x"], ar.cos(t["a"]), ar.sin(t["a"])),
        {"x": _draw(2, 3, 2, 7), "a": _draw(2, 1, 2, 3)},
    ),
    "cross_entropy": (
        lambda ar, t: loss.cross_entropy(ar, t["x"], np.array([2, -1, 0]), 0.1),
        {"x": _draw(3, 4)},
    ),
    "mse": (lambda ar, t: loss.mse(ar, t["x"], t["y"]), {"x": _draw(3, 4), "y": _draw(3, 4)}),
    "gru_cell": (
        lambda ar, t: recurrent.gru_cell(ar, t["x"], t["h"], t["w"], t["b"]),
        {"x": _draw(2, 9), "h": _draw(2, 3), "w": _draw(9, 3), "b": _draw(9)},
    ),
    "lstm_cell": (
        lambda ar, t: ar.concat(
            list(recurrent.lstm_cell(ar, t["x"], t["h"], t["c"], t["w"], t["b"])), 0
        ),
        {"x": _draw(2, 12), "h": _draw(2, 3), "c": _draw(2, 3), "w": _draw(12, 3), "b": _draw(12)},
    ),
    "take": (
        lambda ar, t: ar.take(t["x"], np.array([[2, 0], [2, 2]]), 1),
        {"x": _draw(2, 3, 4)},
    ),
    "division": (
        lambda _, t: 1.0 / (2.0 - t["x"] * t["x"] / t["y"]),
        {"x": _draw(3), "y": 9 + _draw(2, 3)},
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("order", [0, 1, 2])
def test_gradient_agrees_with_central_differences(name: str, order: int) -> None:
    formula, inputs = FORMULAS[name]
    plain = Arithmetic()
    probe = _probe(formula(plain, inputs))
    ar = Arithmetic(order=order)
    found = gradient(ar, lambda t: [formula(ar, t)], inputs, [probe])
    for key, x in inputs.items():
        moved = functools.partial(_probed_sum, formula, inputs, key, probe)
        expected = _differences(moved, x)
        np.testing.assert_allclose(found[key], expected, rtol=1e-7, atol=1e-8)


def _probe(y: np.ndarray) -> Any:
    return np.cos(np.arange(y.size) + 1.0).reshape(y.shape)


def _probed_sum(formula: Any, inputs: Any, key: str, probe: np.ndarray, value: np.ndarray) -> float:
    return float((formula(Arithmetic(), {**inputs, key: value}) * probe).sum())


def _differences(f: Callable[[np.ndarray], float], x: np.ndarray) -> np.ndarray:
    """Fourth-order central differences."""
    h, found = 1e-3, np.zeros_like(x)
    for index in np.ndindex(x.shape):
        values = []
        for step in (-2, -1, 1, 2):
            moved = x.copy()
            moved[index] += step * h
            values.append(f(moved))
        a, b, c, d = values
        found[index] = (a - 8 * b + 8 * c - d) / (12 * h)
    return found


def test_unused_input_has_zeros() -> None:
    ar = Arithmetic()
    x = {"used": np.ones(2), "idle": np.ones((2, 3))}
    found = gradient(ar, lambda t: [t["used"] * 2.0], x, [np.ones(2)])
    assert found["used"].tolist() == [2.0, 2.0]
    assert found["idle"].tolist() == [[0.0] * 3] * 2


def test_orders_differ_and_repeat() -> None:
    x = np.random.default_rng(1).normal(size=1000).astype(np.float32)
    sums = [float(Arithmetic("float32", order).sum(x, 0)) for order in range(9)]
    again = [float(Arithmetic("float32", order).sum(x, 0)) for order in range(9)]
    assert sums == again
    assert len(set(sums)) > 4
    assert max(sums) - min(sums) < 1e-3


def test_orders_keep_the_dtype() -> None:
    for order in range(4):
        ar = Arithmetic("float32", order)
        x = np.ones((3, 4), np.float32)
        assert activation.gelu(ar, x).dtype == np.float32
        assert norm.layer_norm(ar, x, x[0], x[0], 1e-5).dtype == np.float32
        assert ar.matmul(x, x.T).dtype == np.float32
