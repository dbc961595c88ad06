"""Attention sinks: what a head may look at in place of any position (arXiv:2309.17453, §3).

A sink is a slot of its own whose score is learned, the same for all queries, and whose value is
zero. So it takes its share of the softmax, and every backend's attention computes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.contract.capabilities import WIDE

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["with_sinks"]


def with_sinks(
    ops: Ops, keys: Array, values: Array, mask: Array, bias: Array | None, sinks: Array
) -> tuple[Array, Array, Array, Array]:
    """Keys, values, mask and biases with one more slot, the last.

    Args:
        ops: the backend's operations.
        keys: ``(batch, kv_heads, slots, head_dim)``.
        values: the same.
        mask: boolean ``(batch, 1, time, slots)``.
        bias: what is added to the scores so far, ``(batch, heads, time, slots)``; or None.
        sinks: the score of each head, ``(heads,)``.
    """
    batch, kv_heads, slots, _ = keys.shape
    heads, narrow = sinks.shape[0], ops.dtype(sinks)
    wide = WIDE.get(narrow, narrow)
    if bias is None:
        bias = ops.full((1, heads, 1, slots), 0.0, wide)
    scores = ops.broadcast_to(
        ops.reshape(ops.astype(sinks, wide), (1, heads, 1, 1)), (*bias.shape[:3], 1)
    )
    one, time = ops.full((), 1, "int32"), mask.shape[2]
    shown = ops.concat([ops.astype(mask, "int32"), ops.full((batch, 1, time, 1), 1, "int32")], 3)
    keys, values = (
        ops.concat([x, ops.full((batch, kv_heads, 1, x.shape[3]), 0.0, ops.dtype(x))], 2)
        for x in (keys, values)
    )
    return keys, values, shown >= one, ops.concat([bias, scores], 3)
