"""Recurrent layers, one step at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.norm import linear
from lmkernel_conformance.oracle.tape import raw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["gru_cell", "layer", "lstm_cell"]

Host = Any


def gru_cell(ar: Arithmetic, x: Host, h: Host, weight: Host, bias: Host) -> Host:
    """The state after one step (arXiv:1406.1078); the reset gate comes after the product."""
    x_r, x_z, x_n = _split(x, 3)
    h_r, h_z, h_n = _split(linear(ar, h, weight, bias), 3)
    reset, update = ar.sigmoid(x_r + h_r), ar.sigmoid(x_z + h_z)
    return (1 - update) * ar.tanh(x_n + reset * h_n) + update * h


def lstm_cell(
    ar: Arithmetic, x: Host, h: Host, c: Host, weight: Host, bias: Host
) -> tuple[Host, Host]:
    """Output and cell state after one step (Hochreiter & Schmidhuber 1997; Gers et al. 2000)."""
    i, f, g, o = _split(x + linear(ar, h, weight, bias), 4)
    cell = ar.sigmoid(f) * c + ar.sigmoid(i) * ar.tanh(g)
    return ar.sigmoid(o) * ar.tanh(cell), cell


def _split(x: Host, parts: int) -> list[Host]:
    """Equal parts of the last axis, a gate each."""
    width = raw(x).shape[-1] // parts
    return [x[:, i * width : (i + 1) * width] for i in range(parts)]


def layer(
    ar: Arithmetic,
    x: Host,
    positions: Host,
    p: Mapping[str, Host],
    name: str,
    state: Mapping[str, Host],
    *,
    cell: str,
    reverse: bool = False,
) -> tuple[Host, dict[str, Host]]:
    """One direction of one layer: the outputs of all positions, and the last state.

    A padded position gives zeros and leaves the state as it was, so padding on either side is as
    good as none.

    Args:
        ar: the arithmetic.
        x: inputs, ``(batch, time, in)``.
        positions: positions, ``(batch, time)``; -1 is padding.
        p: parameters by dotted name.
        name: the prefix of this layer's parameters.
        state: the first state, ``{"h", "c"?}``, each ``(batch, hidden_size)``.
        cell: ``"gru"`` or ``"lstm"``.
        reverse: whether the layer reads from the end.
    """
    steps = range(raw(x).shape[1])
    outputs: dict[int, Host] = {}
    state = dict(state)
    for t in reversed(steps) if reverse else steps:
        gates = linear(ar, x[:, t], p[f"{name}.input.weight"], p.get(f"{name}.input.bias"))
        own = p[f"{name}.state.weight"], p.get(f"{name}.state.bias")
        if cell == "lstm":
            h, c = lstm_cell(ar, gates, state["h"], state["c"], *own)
            new = {"h": h, "c": c}
        else:
            new = {"h": gru_cell(ar, gates, state["h"], *own)}
        real = np.asarray(positions)[:, t, None] >= 0
        state = {key: ar.where(real, new[key], state[key]) for key in new}
        outputs[t] = ar.where(real, new["h"], 0.0)
    batch, width = raw(state["h"]).shape
    rows = [ar.reshape(outputs[t], (batch, 1, width)) for t in steps]
    return ar.concat(rows, 1), state
