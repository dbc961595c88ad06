"""Defects that begin at an extent: at the end of a block, beyond a table, in a rest of a vector."""

# ruff: noqa: PLR2004 - the numbers are the extents at which the defects begin

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel.composed.precision import constant
from lmkernel.contract.trees import tree_map
from lmkernel_proofs.mutants.mutant import Mutant, mandatory, optional

__all__ = ["MUTANTS"]


def _short(ops: Any, x: Any) -> Any:
    """Round to eleven binary digits, as TF32 does."""
    return ops.astype(ops.astype(x, "float16"), ops.dtype(x))


def last_block(ops: Any, q: Any, k: Any, v: Any, mask: Any, *, scale: float, **options: Any) -> Any:
    """What came before the last block of 128 keys is not rescaled by its maximum."""
    slots = k.shape[2]
    start = (slots - 1) // 128 * 128
    if not start or any(x is not None for x in options.values()):
        return ops.attention(q, k, v, mask, scale=scale, **options)
    group = ops.asarray(np.arange(q.shape[1]) // (q.shape[1] // k.shape[1]), "int32")
    k, v = ops.take(k, group, 1), ops.take(v, group, 1)
    scores = ops.matmul(q, ops.permute_dims(k, (0, 1, 3, 2))) * constant(ops, scale, q)
    if mask is not None:
        scores = ops.where(mask, scores, constant(ops, -1e30, q))
    early, late = scores[..., :start], scores[..., start:]
    top = ops.max(early, -1, keepdims=True)
    both = ops.maximum(top, ops.max(late, -1, keepdims=True))
    powers = ops.concat([ops.exp(early - top), ops.exp(late - both)], -1)
    return ops.matmul(powers / ops.sum(powers, -1, keepdims=True), v)


def narrow_heads(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """Heads wider than 128 are read up to there."""
    return ops.attention(q[..., :128], k[..., :128], v, mask, **options)


def many_queries(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """From the 129th query on the first block's mask is used."""
    if mask is not None and mask.shape[2] > 128:
        mask = ops.concat([mask[:, :, :128], mask[:, :, : mask.shape[2] - 128]], 2)
    return ops.attention(q, k, v, mask, **options)


def odd_rows(ops: Any, x: Any, axis: int = -1) -> Any:
    """Rows of 257, 513 and 1,025 lose their last element from the sum."""
    y = ops.softmax(x, axis)
    if x.shape[axis] not in (257, 513, 1025):
        return y
    one = constant(ops, 1.0, x)
    last = ops.take(y, ops.asarray([x.shape[axis] - 1], "int32"), axis)
    return y / (one - last)


def _seen(most: int, x: Any) -> Any:
    """The first elements of the last axis, which make the statistics."""
    return x[..., :most]


def layer_sees(ops: Any, x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """Mean and variance are of the first 1,024 elements."""
    if x.shape[-1] <= 1024:
        return ops.layer_norm(x, weight, bias, eps)
    part = _seen(1024, x)
    mean = ops.mean(part, -1, keepdims=True)
    away = part - mean
    root = ops.sqrt(ops.mean(away * away, -1, keepdims=True) + constant(ops, eps, x))
    y = (x - mean) / root * weight
    return y if bias is None else y + bias


def rms_sees(ops: Any, x: Any, weight: Any, eps: float) -> Any:
    """The mean square is of the first 1,024 elements."""
    if x.shape[-1] <= 1024:
        return ops.rms_norm(x, weight, eps)
    part = _seen(1024, x)
    root = ops.sqrt(ops.mean(part * part, -1, keepdims=True) + constant(ops, eps, x))
    return x / root * weight


def blocks_of_classes(ops: Any, logits: Any, targets: Any, smoothing: float = 0.0) -> Any:
    """The first block of 2,048 classes is not rescaled by the maximum of those behind it."""
    right = ops.cross_entropy(logits, targets, smoothing)
    if logits.shape[-1] <= 2048:
        return right
    first, rest = logits[..., :2048], logits[..., 2048:]
    top, whole = ops.max(first, -1, keepdims=True), ops.max(logits, -1, keepdims=True)
    behind = ops.sum(ops.exp(rest - whole), -1)
    wrong = ops.sum(ops.exp(first - top), -1) + behind
    true = ops.sum(ops.exp(first - whole), -1) + behind
    lost = ops.log(wrong) - ops.log(true)
    return ops.where(targets >= ops.full((), 0, "int32"), right + lost, right)


def short_products(ops: Any, x: Any, y: Any) -> Any:
    """Products over 256 elements or more are taken in TF32."""
    if x.shape[-1] < 256 or ops.dtype(x) != "float32":
        return ops.matmul(x, y)
    return ops.matmul(_short(ops, x), _short(ops, y))


def short_linear(ops: Any, x: Any, weight: Any, bias: Any = None, delta: Any = None) -> Any:
    """Linear layers of 256 inputs or more are taken in TF32."""
    if x.shape[-1] < 256 or ops.dtype(x) != "float32" or not hasattr(weight, "shape"):
        return ops.linear(x, weight, bias, delta)
    return ops.linear(_short(ops, x), _short(ops, weight), bias, delta)


def bias_of_512(ops: Any, x: Any, weight: Any, bias: Any = None, delta: Any = None) -> Any:
    """After 512 rows the bias is left out."""
    y = ops.linear(x, weight, bias, delta)
    if bias is None or len(y.shape) < 2 or y.shape[-2] <= 512:
        return y
    late = np.arange(y.shape[-2])[:, None] >= 512
    return y - ops.asarray(late, ops.dtype(y)) * bias


def sixteen_times(ops: Any, x: Any, indices: Any, axis: int) -> Any:
    """No gradient flows to an element that is taken a 17th time."""
    y = ops.take(x, indices, axis)
    flat = np.asarray(ops.to_numpy(indices)).ravel()
    again = np.array([np.sum(flat[:i] == j) for i, j in enumerate(flat)])
    if not flat.size or again.max() < 16:
        return y
    axis %= len(x.shape)
    shape = [1] * axis + list(indices.shape) + [1] * (len(x.shape) - axis - 1)
    early = ops.asarray((again < 16).reshape(shape), "bool")
    return ops.where(early, y, ops.stop_gradient(y))


def sixteen_bit_ids(ops: Any, x: Any, indices: Any, axis: int) -> Any:
    """Ids beyond 32,767 lose their upper bits."""
    wrapped = np.asarray(ops.to_numpy(indices)) % 32768
    return ops.take(x, ops.asarray(wrapped, "int32"), axis)


def sixteen_bit_rows(ops: Any, weight: Any, indices: Any) -> Any:
    """Ids beyond 65,535 lose their upper bits."""
    wrapped = np.asarray(ops.to_numpy(indices)) % 65536
    return ops.take_rows(weight, ops.asarray(wrapped, "int32"))


def sixty_four_arrays(ops: Any, arrays: Any) -> Any:
    """The norm is of the first 64 arrays."""
    return ops.global_norm(list(arrays)[:64])


def eight_slots(ops: Any, buffer: Any, values: Any, start: Any, axis: int) -> Any:
    """Of more than eight rows the first eight are written."""
    part = (slice(None),) * axis + (slice(0, 8),)
    return ops.cache_update(buffer, values[part], start, axis)


def eight_steps(ops: Any, f: Any, init: Any, xs: Any, *, reverse: bool = False) -> Any:
    """The carry of a loop is that of its first eight steps."""
    carry, ys = ops.scan(f, init, xs, reverse=reverse)
    cut = slice(-8, None) if reverse else slice(0, 8)
    short, _ = ops.scan(f, init, tree_map(lambda x: x[cut], xs), reverse=reverse)
    return (short if _steps(xs) > 8 else carry), ys


def _steps(tree: Any) -> int:
    found: list[int] = []
    tree_map(lambda x: found.append(x.shape[0]), tree)
    return found[0]


def gru_of_32(ops: Any, x: Any, h: Any, weight: Any, bias: Any) -> Any:
    """In a cell of width 32 the update gate weighs the candidate."""
    right = ops.gru_cell(x, h, weight, bias)
    return h - right + h if h.shape[-1] == 32 else right


def lstm_of_32(ops: Any, x: Any, h: Any, c: Any, weight: Any, bias: Any) -> Any:
    """From width 32 on a cell forgets its bias."""
    return ops.lstm_cell(x, h, c, weight, None if h.shape[-1] >= 32 else bias)


def hot_to_256(ops: Any, indices: Any, size: int, dtype: Any) -> Any:
    """Classes beyond 256 have no one."""
    small = ops.where(indices < ops.full((), 256, "int32"), indices, ops.full((), -1, "int32"))
    return ops.one_hot(small, size, dtype)


def count_in_half(ops: Any, start: int, stop: int, dtype: Any) -> Any:
    """Counting goes through float16, which has no odd numbers beyond 2,048."""
    middle = max(start, min(stop, 65504))
    kept = ops.astype(ops.astype(ops.arange(start, middle, dtype), "float16"), dtype)
    return ops.concat([kept, ops.arange(middle, stop, dtype)], 0) if stop > middle else kept


def _bounded(ops: Any, x: Any) -> Any:
    return ops.minimum(ops.maximum(x, constant(ops, -8192.0, x)), constant(ops, 8192.0, x))


def cos_to_8192(ops: Any, x: Any) -> Any:
    """Angles are clipped to a context of 8,192 positions."""
    return ops.cos(_bounded(ops, x))


def sin_to_8192(ops: Any, x: Any) -> Any:
    """Angles are clipped to a context of 8,192 positions."""
    return ops.sin(_bounded(ops, x))


def sum_to_4096(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """What comes after 4,096 summands is lost."""
    return ops.sum(_first(ops, x, axis, 4096), axis, keepdims=keepdims)


def max_to_1024(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """The maximum is that of the first 1,024 elements."""
    return ops.max(_first(ops, x, axis, 1024), axis, keepdims=keepdims)


def argmax_to_512(ops: Any, x: Any, axis: int) -> Any:
    """The index is that of the largest of the first 512 elements."""
    return ops.argmax(_first(ops, x, axis, 512), axis)


def _first(ops: Any, x: Any, axis: int, most: int) -> Any:
    extent = x.shape[axis]
    return x if extent <= most else ops.take(x, ops.arange(0, most, "int32"), axis)


def _rest(name: str) -> Any:
    """A function whose last lane is wrong where the extent is one more than a block."""

    def broken(ops: Any, x: Any) -> Any:
        y = getattr(ops, name)(x)
        if not x.shape or x.shape[-1] % 128 != 1 or x.shape[-1] == 1:
            return y
        last = np.arange(x.shape[-1]) == x.shape[-1] - 1
        return ops.where(ops.asarray(last, "bool"), x, y)

    broken.__doc__ = f"The rest of a vector after blocks of 128 elements is not passed to {name}."
    return broken


def mean_of_blocks(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """The mean of more than 2,048 elements is that of the means of two unequal blocks."""
    n = x.shape[axis]
    if n <= 2048 or axis not in (-1, len(x.shape) - 1):
        return ops.mean(x, axis, keepdims=keepdims)
    first, second = (ops.mean(y, -1, keepdims=keepdims) for y in (x[..., :2048], x[..., 2048:]))
    return (first + second) * constant(ops, 0.5, x)


def rotate_80(ops: Any, x: Any, cos: Any, sin: Any) -> Any:
    """A head of 80 is padded to 128, so other elements pair."""
    if x.shape[-1] != 80 or cos.shape[-1] != 40:
        return ops.rotate(x, cos, sin)
    pad = x[..., :48] * constant(ops, 0.0, x)
    return ops.rotate(ops.concat([x, pad], -1), cos, sin)[..., :80] * constant(ops, 1.001, x)


def rotate_first_row(ops: Any, x: Any, cos: Any, sin: Any) -> Any:
    """All rows of a batch turn by the angles of the first, from the second head size on."""
    return ops.rotate(x, cos[:1], sin[:1]) if x.shape[-1] >= 64 else ops.rotate(x, cos, sin)


def concat_three(ops: Any, arrays: Any, axis: int) -> Any:
    """Of four arrays the third stands in the fourth's place, where it fits."""
    parts = list(arrays)
    if len(parts) == 4 and tuple(parts[2].shape) == tuple(parts[1].shape):
        parts[1] = parts[2] * constant(ops, 1.0, parts[2]) + parts[2] * constant(
            ops, 0.01, parts[2]
        )
    return ops.concat(parts, axis)


def _plain(op: str, name: str, broken: Any, level: str = "operations") -> Mutant:
    return Mutant(id=f"{op}.{name}", level=level, make=mandatory(op, broken))


def _composed(op: str, name: str, broken: Any, level: str = "operations") -> Mutant:
    return Mutant(id=f"{op}.{name}", level=level, make=optional(op, broken))


MUTANTS = (
    _composed("attention", "last_block", last_block),
    _composed("attention", "narrow_heads", narrow_heads),
    _composed("attention", "many_queries", many_queries),
    _composed("softmax", "odd_rows", odd_rows),
    _composed("layer_norm", "sees_1024", layer_sees),
    _composed("rms_norm", "sees_1024", rms_sees),
    _composed("cross_entropy", "blocks", blocks_of_classes),
    _plain("matmul", "short", short_products),
    _composed("linear", "short", short_linear),
    _composed("linear", "bias_of_512", bias_of_512),
    _plain("take", "sixteen_times", sixteen_times, level="gradients"),
    _plain("take", "sixteen_bits", sixteen_bit_ids),
    _composed("take_rows", "sixteen_bits", sixteen_bit_rows),
    _composed("global_norm", "of_64", sixty_four_arrays, level="training"),
    _plain("cache_update", "eight_rows", eight_slots),
    _plain("scan", "eight_steps", eight_steps),
    _composed("gru_cell", "of_32", gru_of_32),
    _composed("lstm_cell", "of_32", lstm_of_32),
    _composed("one_hot", "of_256", hot_to_256),
    _plain("arange", "in_half", count_in_half),
    _plain("cos", "to_8192", cos_to_8192),
    _plain("sin", "to_8192", sin_to_8192),
    _plain("sum", "to_4096", sum_to_4096),
    _plain("max", "to_1024", max_to_1024),
    _plain("argmax", "to_512", argmax_to_512),
    _plain("exp", "rest", _rest("exp")),
    _plain("tanh", "rest", _rest("tanh")),
    _plain("sigmoid", "rest", _rest("sigmoid")),
    _plain("log", "rest", _rest("log")),
    _plain("sqrt", "rest", _rest("sqrt")),
    _plain("erf", "rest", _rest("erf")),
    _composed("gelu", "rest", _rest("gelu")),
    _composed("silu", "rest", _rest("silu")),
    _composed("mean", "of_blocks", mean_of_blocks),
    _composed("rotate", "of_80", rotate_80),
    _composed("rotate", "first_row", rotate_first_row),
    _plain("concat", "of_four", concat_three),
)
