"""Linear layers, packed weights, and rows of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal
from lmkernel_conformance.oracle import norm

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

_WEIGHT = normal("linear.weight", 5, 7)
_BIAS = normal("linear.bias", 5)


@trial(id="linear", op="linear")
def linear() -> Trial:
    """Three axes in, width 7 to 5: a transposed weight does not fit."""
    return Trial(
        inputs={"x": normal("linear", 2, 3, 7), "weight": _WEIGHT, "bias": _BIAS},
        native=lambda s, t: s.ops.linear(t["x"], t["weight"], t["bias"]),
        formula=lambda ar, t: norm.linear(ar, t["x"], t["weight"], t["bias"]),
    )


@trial(id="linear.square", op="linear")
def linear_square() -> Trial:
    """A square weight: a transposed one fits, and shows; no bias, one vector."""
    return Trial(
        inputs={"x": normal("linear.square", 6), "weight": normal("linear.square.w", 6, 6)},
        native=lambda s, t: s.ops.linear(t["x"], t["weight"]),
        formula=lambda ar, t: norm.linear(ar, t["x"], t["weight"]),
    )


@trial(id="linear.one_row", op="linear")
def linear_one_row() -> Trial:
    """One row, as in decoding, where libraries take another path; large enough to be split."""
    return Trial(
        inputs={
            "x": normal("linear.row", 1, 1, 130),
            "weight": normal("linear.row.w", 67, 130),
            "bias": normal("linear.row.b", 67),
        },
        native=lambda s, t: s.ops.linear(t["x"], t["weight"], t["bias"]),
        formula=lambda ar, t: norm.linear(ar, t["x"], t["weight"], t["bias"]),
    )


@trial(id="linear.delta", op="linear")
def linear_delta() -> Trial:
    """A low-rank addition (LoRA) of rank 2."""
    return Trial(
        inputs={
            "x": normal("linear.delta", 2, 3, 7),
            "weight": _WEIGHT,
            "bias": _BIAS,
            "a": normal("linear.a", 2, 7),
            "b": normal("linear.b", 5, 2),
        },
        native=lambda s, t: s.ops.linear(t["x"], t["weight"], t["bias"], (t["a"], t["b"])),
        formula=lambda ar, t: norm.linear(ar, t["x"], t["weight"], t["bias"], (t["a"], t["b"])),
    )


@trial(id="linear.packed", op="pack_linear", gradients=False)
def linear_packed_weight() -> Trial:
    """A packed weight serves as the weight itself."""
    return Trial(
        inputs={"x": normal("linear", 2, 3, 7), "weight": _WEIGHT, "bias": _BIAS},
        native=lambda s, t: s.ops.linear(t["x"], s.ops.pack_linear(t["weight"]), t["bias"]),
        formula=lambda ar, t: norm.linear(ar, t["x"], t["weight"], t["bias"]),
    )


@trial(id="linear.packed.one_row", op="pack_linear", gradients=False)
def linear_packed_one_row() -> Trial:
    """A packed weight and one row, with no size a multiple of 16."""
    return Trial(
        inputs={"x": normal("packed.row", 1, 1, 130), "weight": normal("packed.w", 67, 130)},
        native=lambda s, t: s.ops.linear(t["x"], s.ops.pack_linear(t["weight"])),
        formula=lambda ar, t: norm.linear(ar, t["x"], t["weight"]),
    )


@trial(id="linear.packed.delta", op="pack_linear", gradients=False)
def linear_packed_delta() -> Trial:
    """A low-rank addition (LoRA) to a packed weight."""
    return Trial(
        inputs={
            "x": normal("linear.delta", 4, 7),
            "weight": _WEIGHT,
            "a": normal("linear.a", 2, 7),
            "b": normal("linear.b", 5, 2),
        },
        native=lambda s, t: s.ops.linear(
            t["x"], s.ops.pack_linear(t["weight"]), None, (t["a"], t["b"])
        ),
        formula=lambda ar, t: norm.linear(ar, t["x"], t["weight"], None, (t["a"], t["b"])),
    )


@case(level="operations", id="unpack_linear")
def unpack(s: Subject) -> None:
    """Packing loses nothing: the weight comes back bit for bit."""
    weight = normal("unpack", 9, 6)
    back = s.ops.unpack_linear(s.ops.pack_linear(s.array(weight)))
    s.equal("weight", back, s.round(weight), s.dtype)
    s.equal("an array", s.ops.unpack_linear(s.array(weight)), s.round(weight), s.dtype)


@case(level="operations", id="take_rows.packed")
def take_rows_of_packed_table(s: Subject) -> None:
    """Rows of a packed table are the table's rows, repeated ones too."""
    weight, indices = normal("rows", 9, 6), np.array([[8, 0, 3], [3, 3, 7]])
    for handle in (s.array(weight), s.ops.pack_linear(s.array(weight))):
        rows = s.ops.take_rows(handle, s.array(indices))
        s.equal("rows", rows, s.round(weight)[indices], s.dtype)


@trial(id="take_rows", op="take_rows")
def take_rows() -> Trial:
    """A row taken three times has three gradients."""
    indices = np.array([[8, 0, 3], [3, 3, 7]])
    return Trial(
        inputs={"weight": normal("rows", 9, 6)},
        fixed={"indices": indices},
        native=lambda s, t: s.ops.take_rows(t["weight"], t["indices"]),
        formula=lambda ar, t: ar.take(t["weight"], indices),
    )


def _experts(label: str, rows: int, count: int) -> Trial:
    """Rows of which several share an expert, in no order, and one expert that none uses."""
    chosen = np.array([(5 * row + row // 3) % (count - 1) for row in range(rows)])
    return Trial(
        inputs={"x": normal(label, rows, 7), "weight": normal(f"{label}.w", count, 5, 7)},
        fixed={"experts": chosen},
        native=lambda s, t: s.ops.expert_linear(t["x"], t["weight"], t["experts"]),
        formula=lambda ar, t: ar.concat(
            [
                norm.linear(ar, t["x"][row : row + 1], t["weight"][expert])
                for row, expert in enumerate(chosen)
            ],
            0,
        ),
    )


@trial(id="expert_linear", op="expert_linear")
def expert_linear() -> Trial:
    """A few rows, as in decoding, each by the matrix of its own expert."""
    return _experts("experts", 3, 4)


@trial(id="expert_linear.many", op="expert_linear")
def expert_linear_many_rows() -> Trial:
    """More rows than experts, where a library sorts them; the last expert has no gradient."""
    return _experts("experts.many", 41, 4)
