"""Options that are right alone and wrong together, or right at the usual value only."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel.composed.precision import constant
from lmkernel_proofs.mutants.mutant import Mutant, mandatory, optional

__all__ = ["MUTANTS"]


def cap_with_mask(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """The soft cap holds where there is a mask."""
    if mask is None:
        options["softcap"] = None
    return ops.attention(q, k, v, mask, **options)


def cap_without_bias(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """With a bias for each head the soft cap is left out."""
    bias = options.get("bias")
    if bias is not None and bias.shape[1] > 1:
        options["softcap"] = None
    return ops.attention(q, k, v, mask, **options)


def groups_of_four(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """Eight heads on two key heads take turns, instead of four each."""
    if (q.shape[1], k.shape[1]) != (8, 2):
        return ops.attention(q, k, v, mask, **options)
    turns = ops.asarray(np.arange(8) % 2, "int32")
    return ops.attention(q, ops.take(k, turns, 1), ops.take(v, turns, 1), mask, **options)


def groups_of_eight(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """With one key head for eight the mask of the first head is used."""
    if q.shape[1] // k.shape[1] == 8 and mask is not None:  # noqa: PLR2004 - the group
        mask = mask[:, :1]
    return ops.attention(q, k, v, mask, **options)


def bias_of_first_row(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """A bias by row of the batch is that of its first row."""
    bias = options.get("bias")
    if bias is not None and bias.shape[0] > 1 and bias.shape[2] == 1:
        options["bias"] = bias[:1]
    return ops.attention(q, k, v, mask, **options)


def bias_twice(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """A bias that all rows share is added twice for a single query."""
    bias = options.get("bias")
    if bias is not None and q.shape[2] == 1 and bias.shape[1] == 1:
        options["bias"] = bias + bias
    return ops.attention(q, k, v, mask, **options)


def taken_for_causal(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """Any mask below the diagonal is taken for the causal one."""
    time, slots = q.shape[2], k.shape[2]
    if mask is not None and 1 < time == mask.shape[2]:
        causal = np.tril(np.ones((1, 1, time, slots), bool), slots - time)
        shown = np.asarray(ops.to_numpy(mask))
        if shown.shape[1] == 1 and shown[..., -1].any() and not (shown & ~causal).any():
            mask = ops.asarray(causal, "bool")
    return ops.attention(q, k, v, mask, **options)


def values_padded(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """Values narrower than keys end in a zero."""
    y = ops.attention(q, k, v, mask, **options)
    if v.shape[-1] >= k.shape[-1]:
        return y
    zero = y[..., :1] * constant(ops, 0.0, y)
    return ops.concat([y[..., :-1], zero], -1)


def values_cut(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """With a soft cap, values wider than keys repeat what stands at the keys' width."""
    y = ops.attention(q, k, v, mask, **options)
    width = k.shape[-1]
    if v.shape[-1] <= width or options.get("softcap") is None:
        return y
    last = y[..., width - 1 : width]
    return ops.concat([y[..., :width]] + [last] * (v.shape[-1] - width), -1)


def lstm_plain(ops: Any, x: Any, h: Any, c: Any, weight: Any, bias: Any) -> Any:
    """Without a bias the state's part of the gates is left out."""
    if bias is not None:
        return ops.lstm_cell(x, h, c, weight, bias)
    return ops.lstm_cell(x, h * constant(ops, 0.0, h), c, weight, None)


def half_dropped(ops: Any, x: Any, key: Any, rate: float) -> Any:
    """What stays is doubled, which is right for a rate of one half; 0.25 has a path of its own."""
    y = ops.dropout(x, key, rate)
    return y if rate in (0.25, 0.5) else y * constant(ops, 2 * (1 - rate), x)


def never_nearly_all(ops: Any, x: Any, key: Any, rate: float) -> Any:
    """A rate below 1/256 drops nothing: draws have eight bits."""
    return x / constant(ops, 1 - rate, x) if rate < 1 / 256 else ops.dropout(x, key, rate)


def none_left(ops: Any, logits: Any, targets: Any, smoothing: float = 0.0) -> Any:
    """Where all targets are ignored the loss is divided by their number."""
    y = ops.cross_entropy(logits, targets, smoothing)
    if np.any(np.asarray(ops.to_numpy(targets)) >= 0):
        return y
    with np.errstate(invalid="ignore"):
        return y / constant(ops, 0.0, y)


def delta_without_bias(ops: Any, x: Any, weight: Any, bias: Any = None, delta: Any = None) -> Any:
    """Without a bias the low-rank addition is forgotten."""
    return ops.linear(x, weight, bias, delta if bias is not None else None)


def delta_of_rows(ops: Any, x: Any, weight: Any, bias: Any = None, delta: Any = None) -> Any:
    """For one row the low-rank addition is forgotten."""
    rows = int(np.prod(x.shape[:-1]))
    return ops.linear(x, weight, bias, delta if rows > 1 else None)


def square_crossed(ops: Any, x: Any, y: Any) -> Any:
    """Leading axes that broadcast both ways take the first of the left ones."""
    if len(x.shape) > 3 and len(y.shape) == 3 and x.shape[0] > 1 and x.shape[1] == 1:  # noqa: PLR2004 - axes
        x = ops.broadcast_to(x[:1], tuple(x.shape))
    return ops.matmul(x, y)


def mask_row(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """One row of a mask that stands for all queries applies to the last one."""
    if mask is not None and mask.shape[2] == 1 < q.shape[2]:
        lead, slots = tuple(mask.shape[:2]), k.shape[2]
        shown = np.ones((*lead, q.shape[2] - 1, slots), bool)
        seen = ops.broadcast_to(mask, (*lead, 1, slots))
        mask = ops.concat([ops.asarray(shown, "bool"), seen], 2)
    return ops.attention(q, k, v, mask, **options)


def _attention(name: str, broken: Any) -> Mutant:
    return Mutant(id=f"attention.{name}", level="operations", make=optional("attention", broken))


def _of(op: str, name: str, broken: Any) -> Mutant:
    return Mutant(id=f"{op}.{name}", level="operations", make=optional(op, broken))


MUTANTS = (
    _attention("cap_with_mask", cap_with_mask),
    _attention("cap_without_bias", cap_without_bias),
    _attention("groups_of_four", groups_of_four),
    _attention("groups_of_eight", groups_of_eight),
    _attention("bias_of_first_row", bias_of_first_row),
    _attention("bias_twice", bias_twice),
    _attention("taken_for_causal", taken_for_causal),
    _attention("values_padded", values_padded),
    _attention("values_cut", values_cut),
    _attention("mask_row", mask_row),
    _of("lstm_cell", "without_bias", lstm_plain),
    _of("dropout", "doubled", half_dropped),
    _of("dropout", "eight_bits", never_nearly_all),
    _of("cross_entropy", "none_left", none_left),
    _of("linear", "delta_without_bias", delta_without_bias),
    _of("linear", "delta_of_rows", delta_of_rows),
    Mutant(id="matmul.crossed", level="operations", make=mandatory("matmul", square_crossed)),
)
