"""Products by design: linear layers, matrix products, recurrent cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel_conformance.cases.designed import MOST, designed
from lmkernel_conformance.cases.trial import Trial
from lmkernel_conformance.inputs import extent, normal
from lmkernel_conformance.oracle import norm, recurrent

if TYPE_CHECKING:
    from lmkernel_conformance.designs import Row

Host = Any


@designed("linear", gradients=lambda row: not row["packed"] and row["rows"] * row["inner"] <= MOST)
def linear(row: Row, purpose: str) -> Trial:
    """A linear layer; no rows stand for one vector."""
    inner, out, rows = extent(purpose, row["inner"]), row["out"], row["rows"]
    lead = {0: (), 17: (17,), 1: (1, 1)}.get(rows, (1, rows))
    inputs = {
        "x": normal(f"{purpose}.x", *lead, inner),
        "weight": normal(f"{purpose}.w", out, inner, scale=inner**-0.5),
    }
    if row["bias"]:
        inputs["bias"] = normal(f"{purpose}.b", out)
    if row["delta"]:
        inputs["a"] = normal(f"{purpose}.a", 3, inner, scale=inner**-0.5)
        inputs["b"] = normal(f"{purpose}.up", out, 3)

    def native(s: Any, t: dict[str, Any]) -> Any:
        weight = s.ops.pack_linear(t["weight"]) if row["packed"] else t["weight"]
        return s.ops.linear(t["x"], weight, t.get("bias"), _delta(t))

    return Trial(
        inputs=inputs,
        native=native,
        formula=lambda ar, t: norm.linear(ar, t["x"], t["weight"], t.get("bias"), _delta(t)),
        consumed=("weight",) if row["packed"] else (),
    )


def _delta(t: dict[str, Any]) -> Any:
    return (t["a"], t["b"]) if "a" in t else None


_LEADING = {
    "none": ((), ()),
    "both": ((2,), (2,)),
    "left": ((3,), ()),
    "right": ((), (2, 1)),
    "crossed": ((2, 1), (3,)),
}


@designed("matmul", gradients=lambda row: row["rows"] * row["inner"] <= MOST // 4)
def matmul(row: Row, purpose: str) -> Trial:
    """A matrix product."""
    inner, (left, right) = extent(purpose, row["inner"]), _LEADING[row["leading"]]
    return Trial(
        inputs={
            "x": normal(f"{purpose}.x", *left, row["rows"], inner),
            "y": normal(f"{purpose}.y", *right, inner, row["columns"], scale=inner**-0.5),
        },
        native=lambda s, t: s.ops.matmul(t["x"], t["y"]),
        formula=lambda ar, t: ar.matmul(t["x"], t["y"]),
    )


@designed("cells", narrow=False)
def cells(row: Row, purpose: str) -> Trial:
    """One step of a recurrent cell."""
    width, batch = extent(purpose, row["width"]), row["batch"]
    gates = {"gru": 3, "lstm": 4}[row["cell"]] * width
    inputs = {
        "x": normal(f"{purpose}.x", batch, gates, scale=0.7),
        "h": normal(f"{purpose}.h", batch, width),
        "weight": normal(f"{purpose}.w", gates, width, scale=width**-0.5 / 2),
    }
    if row["bias"]:
        inputs["bias"] = normal(f"{purpose}.b", gates, scale=0.3)
    if row["cell"] == "lstm":
        inputs["c"] = normal(f"{purpose}.c", batch, width)
    return Trial(
        inputs=inputs,
        native=lambda s, t: _step(t, s.ops.gru_cell, s.ops.lstm_cell),
        formula=lambda ar, t: _step(t, recurrent.gru_cell, recurrent.lstm_cell, ar),
    )


def _step(t: dict[str, Any], gru: Any, lstm: Any, *first: Any) -> Any:
    if "c" not in t:
        return gru(*first, t["x"], t["h"], t["weight"], t.get("bias"))
    return list(lstm(*first, t["x"], t["h"], t["c"], t["weight"], t.get("bias")))
