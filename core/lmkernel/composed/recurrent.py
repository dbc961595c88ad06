"""One step of the two recurrent cells; the input's part of the gates is computed outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.composed.precision import constant

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["gru_cell", "lstm_cell"]


def gru_cell(ops: Ops, x: Array, h: Array, weight: Array, bias: Array | None) -> Array:
    """Gates in the order reset, update, new."""
    n = h.shape[-1]
    s = ops.linear(h, weight, bias)
    reset = ops.sigmoid(x[:, :n] + s[:, :n])
    update = ops.sigmoid(x[:, n : 2 * n] + s[:, n : 2 * n])
    new = ops.tanh(x[:, 2 * n :] + reset * s[:, 2 * n :])
    return (constant(ops, 1.0, h) - update) * new + update * h


def lstm_cell(
    ops: Ops, x: Array, h: Array, c: Array, weight: Array, bias: Array | None
) -> tuple[Array, Array]:
    """Gates in the order input, forget, cell, output."""
    n = h.shape[-1]
    gates = x + ops.linear(h, weight, bias)
    write, keep = ops.sigmoid(gates[:, :n]), ops.sigmoid(gates[:, n : 2 * n])
    candidate, out = ops.tanh(gates[:, 2 * n : 3 * n]), ops.sigmoid(gates[:, 3 * n :])
    cell = keep * c + write * candidate
    return out * ops.tanh(cell), cell
