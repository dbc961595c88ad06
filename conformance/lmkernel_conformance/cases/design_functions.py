"""Functions by design: of each element, and along an axis; the loss of large vocabularies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.designed import MOST, designed
from lmkernel_conformance.cases.trial import Trial
from lmkernel_conformance.inputs import extent, normal, uniform
from lmkernel_conformance.oracle import activation, loss, norm

if TYPE_CHECKING:
    from lmkernel_conformance.designs import Row

Host = Any

_EPS = 1e-5


def _differentiable(row: Row) -> bool:
    return row["rows"] * row["extent"] <= MOST and row["operation"] not in ("max", "argmax")


def _along(name: str, axis: int, o: Any, t: dict[str, Any], *, oracle: bool) -> Any:
    """One function along an axis, on the backend's operations or on the oracle."""
    x = t["x"]
    if name == "rms_norm":
        return (
            norm.rms_norm(o, x, t["weight"], _EPS) if oracle else o.rms_norm(x, t["weight"], _EPS)
        )
    if name.startswith("layer_norm"):
        rest = (x, t["weight"], t.get("bias"), _EPS)
        return norm.layer_norm(o, *rest) if oracle else o.layer_norm(*rest)
    if name in ("softmax", "log_softmax") and oracle:
        return getattr(activation, name)(o, x, axis)
    return getattr(o, name)(x, axis)


@designed("along", gradients=_differentiable)
def along(row: Row, purpose: str) -> Trial:
    """A function along one axis."""
    name, length, rows = row["operation"], extent(purpose, row["extent"]), row["rows"]
    axis = {"last": -1, "first": 0, "middle": 1}[row["axis"]]
    shape = {-1: (rows, length), 0: (length, rows), 1: (1, length, rows)}[axis]
    inputs = {"x": normal(f"{purpose}.x", *shape, scale=2, shift=0.3)}
    if "norm" in name:
        inputs["weight"] = uniform(f"{purpose}.w", length, low=-2, high=3)
    if name == "layer_norm":
        inputs["bias"] = normal(f"{purpose}.b", length)
    if name in ("max", "argmax"):
        return _chosen(name, inputs["x"], axis)
    return Trial(
        inputs=inputs,
        native=lambda s, t: _along(name, axis, s.ops, t, oracle=False),
        formula=lambda ar, t: _along(name, axis, ar, t, oracle=True),
    )


def _chosen(name: str, x: Host, axis: int) -> Trial:
    """What `max` and `argmax` choose, as floats; of equal elements the first."""

    def native(s: Any, t: dict[str, Any]) -> Any:
        if name == "max":
            return s.ops.max(t["x"], axis)
        index = s.ops.argmax(t["x"], axis)
        s.demand("dtype", expected="int32", got=s.ops.dtype(index))
        return s.ops.astype(index, s.dtype)

    def formula(ar: Any, t: dict[str, Host]) -> Host:
        return np.asarray(getattr(np.asarray(t["x"]), name)(axis), ar.dtype)

    return Trial(inputs={}, fixed={"x": x}, native=native, formula=formula)


def _turned(x: Host) -> Host:
    """Angles from small to those of a long context, of both signs."""
    return np.sign(x) * np.exp(np.abs(x) * 3.6)


_SOURCES: dict[str, Any] = {
    "exp": lambda x: x * 3,
    "log": lambda x: np.exp(x * 3),
    "sqrt": lambda x: np.exp(x * 3),
    "cos": _turned,
    "sin": _turned,
    "divide": lambda x: x + np.sign(x) * 0.25,
}
_BETWEEN: dict[str, Any] = {
    "add": lambda x, y: x + y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
}


def _element(name: str, o: Any, t: dict[str, Any], mask: Any, *, oracle: bool) -> Any:
    """One function of each element, on the backend's operations or on the oracle."""
    x = t["x"]
    if name in _BETWEEN:
        return _BETWEEN[name](x, t["y"])
    if name in ("minimum", "maximum", "where"):
        return (
            o.where(mask, x, t["y"]) if oracle or name == "where" else getattr(o, name)(x, t["y"])
        )
    if oracle and not hasattr(o, name):
        return getattr(activation, name)(o, x)
    return getattr(o, name)(x)


@designed("elements")
def elements(row: Row, purpose: str) -> Trial:
    """A function of each element."""
    name, n = row["operation"], extent(purpose, row["extent"])
    shape = {"line": (n,), "rows": (2, n), "columns": (n, 2)}[row["shape"]]
    if name == "swiglu":
        shape = (*shape[:-1], 2 * shape[-1])
    bounded = np.clip(normal(f"{purpose}.x", *shape), -3, 3)
    x = _SOURCES.get(name, lambda x: x)(bounded)
    inputs, fixed = {"x": x}, {}
    if name in (*_BETWEEN, "minimum", "maximum", "where"):
        y = normal(f"{purpose}.y", *shape[-1:])
        inputs["y"] = _SOURCES.get(name, lambda x: x)(y)
    if name == "where":
        fixed["mask"] = x > 0.25  # noqa: PLR2004 - some

    def formula(ar: Any, t: dict[str, Host]) -> Host:
        raw = {key: np.asarray(getattr(z, "value", z)) for key, z in t.items()}
        mask = raw.get("mask")
        if name in ("minimum", "maximum"):
            mask = (raw["x"] < raw["y"]) == (name == "minimum")
        return _element(name, ar, t, mask, oracle=True)

    return Trial(
        inputs=inputs,
        fixed=fixed,
        native=lambda s, t: _element(name, s.ops, t, t.get("mask"), oracle=False),
        formula=formula,
    )


@designed("cross_entropy", gradients=lambda row: row["rows"] * row["classes"] <= MOST)
def cross_entropy(row: Row, purpose: str) -> Trial:
    """Cross-entropy."""
    rows, classes = row["rows"], extent(purpose, row["classes"])
    logits = normal(f"{purpose}.x", rows, classes, scale=2)
    if row["logits"] != "mixed":
        logits += np.linspace(0, 9, classes)[:: 1 if row["logits"] == "rising" else -1]
    targets = (uniform(f"{purpose}.t", rows, low=0, high=1) * classes).astype(np.int32)
    targets[0] = classes - 1
    if row["targets"] == "some_ignored":
        targets[rows // 2 :: 3] = -1
    if row["targets"] == "all_ignored":
        targets[:] = np.where(np.arange(rows) % 2, -1, -100)
    smoothing = row["smoothing"]
    return Trial(
        inputs={"logits": logits},
        fixed={"targets": targets},
        native=lambda s, t: s.ops.cross_entropy(t["logits"], t["targets"], smoothing),
        formula=lambda ar, t: loss.cross_entropy(ar, t["logits"], targets, smoothing),
    )
