"""Recurrent cells: non-zero states and biases, every gate with numbers of its own."""

from __future__ import annotations

from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal
from lmkernel_conformance.oracle import recurrent

_BATCH, _WIDTH = 3, 5


@trial(id="gru_cell", op="gru_cell", rows=(27,))
def gru_cell() -> Trial:
    """Gates in the order r, z, n; the reset gate after the product."""
    n = _WIDTH
    return Trial(
        inputs={
            "x": normal("gru.x", _BATCH, 3 * n),
            "h": normal("gru.h", _BATCH, n),
            "weight": normal("gru.w", 3 * n, n),
            "bias": normal("gru.b", 3 * n),
        },
        native=lambda s, t: s.ops.gru_cell(t["x"], t["h"], t["weight"], t["bias"]),
        formula=lambda ar, t: recurrent.gru_cell(ar, t["x"], t["h"], t["weight"], t["bias"]),
    )


@trial(id="gru_cell.no_bias", op="gru_cell")
def gru_cell_no_bias() -> Trial:
    """Without a bias; one row."""
    n = 4
    return Trial(
        inputs={
            "x": normal("gru1.x", 1, 3 * n),
            "h": normal("gru1.h", 1, n),
            "weight": normal("gru1.w", 3 * n, n),
        },
        native=lambda s, t: s.ops.gru_cell(t["x"], t["h"], t["weight"], None),
        formula=lambda ar, t: recurrent.gru_cell(ar, t["x"], t["h"], t["weight"], None),
    )


@trial(id="lstm_cell", op="lstm_cell", rows=(27,))
def lstm_cell() -> Trial:
    """Gates in the order i, f, g, o; both states come back, in that order."""
    n = _WIDTH
    return Trial(
        inputs={
            "x": normal("lstm.x", _BATCH, 4 * n),
            "h": normal("lstm.h", _BATCH, n),
            "c": normal("lstm.c", _BATCH, n, scale=2),
            "weight": normal("lstm.w", 4 * n, n),
            "bias": normal("lstm.b", 4 * n),
        },
        native=lambda s, t: list(s.ops.lstm_cell(t["x"], t["h"], t["c"], t["weight"], t["bias"])),
        formula=lambda ar, t: list(
            recurrent.lstm_cell(ar, t["x"], t["h"], t["c"], t["weight"], t["bias"])
        ),
    )
