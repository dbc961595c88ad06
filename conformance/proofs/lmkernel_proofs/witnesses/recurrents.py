"""Witnesses of recurrent cells and layers, one number at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel_conformance.oracle import model, recurrent
from lmkernel_proofs.witnesses.norms import linear
from lmkernel_proofs.witnesses.point import Point, grid
from lmkernel_proofs.witnesses.precise import MP, full

__all__ = ["POINTS", "layers"]

Host = Any


def _half(x: Any) -> Any:
    """The logistic function, by tanh of half the argument."""
    return (1 + MP.tanh(x / 2)) / 2


def _gru(x: Host, h: Host, weight: Host, bias: Host) -> Host:
    """A GRU cell unit by unit, as n + z·(h - n)."""
    width, new = h.shape[1], full(h.shape)
    for b, i in np.ndindex(h.shape):
        own = [MP.fdot(weight[g * width + i], h[b]) + bias[g * width + i] for g in range(3)]
        came = [x[b, g * width + i] for g in range(3)]
        r, z = _half(came[0] + own[0]), _half(came[1] + own[1])
        n = MP.tanh(came[2] + r * own[2])
        new[b, i] = n + z * (h[b, i] - n)
    return new


def _lstm(x: Host, h: Host, c: Host, weight: Host, bias: Host) -> tuple[Host, Host]:
    """An LSTM cell unit by unit."""
    width, hidden, cell = h.shape[1], full(h.shape), full(h.shape)
    for b, i in np.ndindex(h.shape):
        rows = range(i, 4 * width, width)
        write, keep, value, show = (MP.fdot(weight[r], h[b]) + bias[r] + x[b, r] for r in rows)
        cell[b, i] = _half(write) * MP.tanh(value) + _half(keep) * c[b, i]
        hidden[b, i] = MP.tanh(cell[b, i]) * _half(show)
    return hidden, cell


def layer(x: Host, where: Host, p: Any, name: str, state: Any, *, back: bool) -> Any:
    """One layer, each row by itself over its real positions; returns outputs and last state."""
    w = {part: p[f"{name}.{part}"] for part in ("input.weight", "state.weight")}
    bias = {
        part: p.get(f"{name}.{part}.bias", full((w[f"{part}.weight"].shape[0],)))
        for part in ("input", "state")
    }
    out = full((*x.shape[:2], state["h"].shape[1]))
    last = {kind: state[kind].copy() for kind in state}
    for b in range(x.shape[0]):
        own = [last[kind][b : b + 1] for kind in state]
        real = [t for t in range(x.shape[1]) if where[b, t] >= 0]
        for t in real[::-1] if back else real:
            came = linear(x[b : b + 1, t], w["input.weight"], bias["input"])
            inner = w["state.weight"], bias["state"]
            if "c" in state:
                own = list(_lstm(came, own[0], own[1], *inner))
            else:
                own = [_gru(came, own[0], *inner)]
            out[b, t] = own[0][0]
        for kind, value in zip(state, own, strict=True):
            last[kind][b] = value[0]
    return out, last


def layers(x: Host, where: Host, p: Any, name: str, c: Any, states: Any = None) -> Any:
    """All layers, directions side by side; returns outputs and last states."""
    kinds = ("h", "c") if c.cell == "lstm" else ("h",)
    ends = []
    for i in range(c.layers):
        outs, end = [], {}
        for way in ("forward", "backward")[: 1 + c.bidirectional]:
            zero = {kind: full((x.shape[0], c.width)) for kind in kinds}
            begin = zero if states is None else states[i][way]
            at = f"{name}.layers.{i}.{way}"
            out, end[way] = layer(x, where, p, at, begin, back=way == "backward")
            outs.append(out)
        x = np.concatenate(outs, -1)
        ends.append(end)
    return x, ends


_WHERE = np.array([[0, 1, 2], [-1, 0, 1]])
_HALF = {"h": grid("cell.h", 2, 3), "c": grid("cell.c", 2, 3)}


def _cell(name: str, gates: int) -> dict[str, Host]:
    n = 3 * gates
    return {
        "x": grid(f"{name}.x", 2, n),
        "w": grid(f"{name}.w", n, 3, low=-1, high=1),
        "b": grid(f"{name}.b", n, low=-1, high=1),
    }


def _both(name: str, gates: int, *, bias: bool = True) -> Any:
    """Parameters of one layer in one direction, from 2 inputs to a hidden size of 3."""
    p = {
        f"{name}.input.weight": grid(f"{name}.iw", 3 * gates, 2, low=-1, high=1),
        f"{name}.state.weight": grid(f"{name}.sw", 3 * gates, 3, low=-1, high=1),
    }
    if bias:
        p[f"{name}.input.bias"] = grid(f"{name}.ib", 3 * gates, low=-1, high=1)
        p[f"{name}.state.bias"] = grid(f"{name}.sb", 3 * gates, low=-1, high=1)
    return p


def _layer(cell: str, *, back: bool, bias: bool) -> Point:
    kinds = ("h", "c") if cell == "lstm" else ("h",)
    gates = 4 if cell == "lstm" else 3
    way = "reversed" if back else "forward"

    def by_oracle(ar: Any, t: Any) -> list[Host]:
        state = {kind: t[kind] for kind in kinds}
        way: Any = {"reverse": True} if back else {}
        y, last = recurrent.layer(ar, t["x"], _WHERE, t, "l", state, cell=cell, **way)
        return [y, *(last[kind] for kind in kinds)]

    def by_witness(t: Any) -> list[Host]:
        y, last = layer(t["x"], _WHERE, t, "l", {kind: t[kind] for kind in kinds}, back=back)
        return [y, *(last[kind] for kind in kinds)]

    return Point(
        id=f"recurrent.layer.{cell}.{way}",
        of=("recurrent.layer", f"recurrent.{cell}_cell"),
        how="each row by itself over its real positions, unit by unit",
        inputs={
            "x": grid(f"{cell}.{way}", 2, 3, 2),
            **{k: _HALF[k] for k in kinds},
            **_both("l", gates, bias=bias),
        },
        oracle=by_oracle,
        witness=by_witness,
        ulps=16,
        why="three steps, each of some ten roundings",
    )


class _StackConfig:
    """The fields that the oracle reads of a configuration: two layers, both directions."""

    layers, width, bidirectional = 2, 2, True

    def __init__(self, cell: str) -> None:
        self.cell = cell


def _stack_point(cell: str) -> Point:
    gates, kinds = (4, ("h", "c")) if cell == "lstm" else (3, ("h",))
    c, inputs = _StackConfig(cell), {"x": grid(f"stacked.{cell}", 2, 3, 2)}
    for i, into in enumerate((2, 4)):
        for way in ("forward", "backward"):
            at = f"r.layers.{i}.{way}"
            for part, n in (("input", into), ("state", 2)):
                inputs[f"{at}.{part}.weight"] = grid(f"{at}.{part}.w", 2 * gates, n, low=-1, high=1)
                inputs[f"{at}.{part}.bias"] = grid(f"{at}.{part}.b", 2 * gates, low=-1, high=1)

    def flat(run: Any) -> list[Host]:
        y, ends = run
        return [y, *(end[way][k] for end in ends for way in end for k in kinds)]

    return Point(
        id=f"model.recurrent.{cell}",
        of=("model.recurrent",),
        how="each row by itself, both directions side by side, unit by unit",
        inputs=inputs,
        oracle=lambda ar, t: flat(model.recurrent(ar, t["x"], _WHERE, t, "r", c)),
        witness=lambda t: flat(layers(t["x"], _WHERE, t, "r", c)),
        ulps=16,
        why="two layers of three steps, each of some ten roundings",
    )


POINTS: tuple[Point, ...] = (
    Point(
        id="recurrent.gru_cell",
        of=("recurrent.gru_cell",),
        how="unit by unit: n + z·(h - n), gates by half-angle tanh",
        inputs={**_cell("gru", 3), "h": _HALF["h"]},
        oracle=lambda ar, t: [recurrent.gru_cell(ar, t["x"], t["h"], t["w"], t["b"])],
        witness=lambda t: [_gru(t["x"], t["h"], t["w"], t["b"])],
    ),
    Point(
        id="recurrent.lstm_cell",
        of=("recurrent.lstm_cell",),
        how="unit by unit, gates by half-angle tanh",
        inputs={**_cell("lstm", 4), **_HALF},
        oracle=lambda ar, t: list(recurrent.lstm_cell(ar, t["x"], t["h"], t["c"], t["w"], t["b"])),
        witness=lambda t: list(_lstm(t["x"], t["h"], t["c"], t["w"], t["b"])),
    ),
    _layer("gru", back=False, bias=True),
    _layer("gru", back=True, bias=False),
    _layer("lstm", back=False, bias=False),
    _layer("lstm", back=True, bias=True),
    _stack_point("gru"),
    _stack_point("lstm"),
)
