"""Broken attention, masks, RoPE and KV caches."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel_proofs.mutants.mutant import Mutant, optional

__all__ = ["MUTANTS"]


def _constant(ops: Any, value: float, like: Any) -> Any:
    return ops.full((), value, ops.dtype(like))


def _repeat_heads(ops: Any, x: Any, heads: int, *, strided: bool = False) -> Any:
    """Repeat keys for every query head; ``strided`` pairs query head h with key head h mod kv."""
    kv = x.shape[1]
    index = np.arange(heads) % kv if strided else np.arange(heads) // (heads // kv)
    return ops.take(x, ops.asarray(index, "int32"), 1)


def _scores(ops: Any, q: Any, k: Any, scale: float) -> Any:
    keys = _repeat_heads(ops, k, q.shape[1])
    return ops.matmul(q, ops.permute_dims(keys, (0, 1, 3, 2))) * _constant(ops, scale, q)


def _mix_values(ops: Any, weights: Any, v: Any) -> Any:
    return ops.matmul(weights, _repeat_heads(ops, v, weights.shape[1]))


def no_square_mask(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """A fast path for as many queries as keys forgets the mask."""
    return ops.attention(q, k, v, None if q.shape[2] == k.shape[2] else mask, **options)


def invert_mask(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """True hides a key instead of showing it."""
    return ops.attention(q, k, v, None if mask is None else ~mask, **options)


def top_left_mask(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """A causal mask of fewer queries than keys is aligned at the top left."""
    time, slots = q.shape[2], k.shape[2]
    if mask is not None and 1 < time < slots:
        mask = ops.asarray(np.tril(np.ones((1, 1, time, slots), bool)), "bool")
    return ops.attention(q, k, v, mask, **options)


def _fill_scores(ops: Any, q: Any, k: Any, mask: Any, scale: float, low: float) -> Any:
    scores = _scores(ops, q, k, scale)
    return scores if mask is None else ops.where(mask, scores, _constant(ops, low, scores))


def infinite_fill(ops: Any, q: Any, k: Any, v: Any, mask: Any, *, scale: float, **_: Any) -> Any:
    """Hidden scores are -∞, so a row that sees nothing is NaN."""
    with np.errstate(invalid="ignore"):
        return _mix_values(ops, ops.softmax(_fill_scores(ops, q, k, mask, scale, -np.inf)), v)


def finite_fill(ops: Any, q: Any, k: Any, v: Any, mask: Any, *, scale: float, **_: Any) -> Any:
    """Hidden scores are a very low number, so a row that sees nothing is uniform."""
    return _mix_values(ops, ops.softmax(_fill_scores(ops, q, k, mask, scale, -1e30)), v)


def leak_nan(ops: Any, q: Any, k: Any, v: Any, mask: Any, *, scale: float, **options: Any) -> Any:
    """Hidden slots get the weight zero, and zero times NaN is NaN."""
    right = ops.attention(q, k, v, mask, scale=scale, **options)
    if mask is None:
        return right
    weights = ops.softmax(_fill_scores(ops, q * _constant(ops, 0.0, q), k, None, scale, 0.0))
    return right + _mix_values(ops, weights, v) * _constant(ops, 0.0, q)


def add_minimum_twice(
    ops: Any, q: Any, k: Any, v: Any, mask: Any, *, scale: float, **_: Any
) -> Any:
    """The lowest number is added for the causal mask, and again for the padding."""
    scores = _scores(ops, q, k, scale)
    if mask is not None:
        low = float(np.finfo(ops.dtype(scores)).min)
        with np.errstate(over="ignore", invalid="ignore"):
            added = ops.where(mask, _constant(ops, 0.0, q), _constant(ops, low, q))
            return _mix_values(ops, ops.softmax(scores + added + added), v)
    return _mix_values(ops, ops.softmax(scores), v)


def shallow_fill(ops: Any, q: Any, k: Any, v: Any, mask: Any, *, scale: float, **_: Any) -> Any:
    """Hidden scores are -1e4, and visible ones may be lower than that."""
    return _mix_values(ops, ops.softmax(_fill_scores(ops, q, k, mask, scale, -1e4)), v)


def own_scale(ops: Any, q: Any, k: Any, v: Any, mask: Any, *, scale: float, **options: Any) -> Any:
    """The scale is head_dim^-½, whatever the caller asks for."""
    del scale
    return ops.attention(q, k, v, mask, scale=q.shape[-1] ** -0.5, **options)


def no_scale(ops: Any, q: Any, k: Any, v: Any, mask: Any, *, scale: float, **options: Any) -> Any:
    """No scale at all."""
    del scale
    return ops.attention(q, k, v, mask, scale=1.0, **options)


def stride_heads(ops: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    """Query head h uses key head h mod kv_heads."""
    keys, values = (_repeat_heads(ops, x, q.shape[1], strided=True) for x in (k, v))
    return ops.attention(q, keys, values, mask, **options)


def no_maximum(ops: Any, q: Any, k: Any, v: Any, mask: Any, *, scale: float, **more: Any) -> Any:
    """The maximum is not subtracted when there is no mask."""
    if mask is not None or any(x is not None for x in more.values()):
        return ops.attention(q, k, v, mask, scale=scale, **more)
    with np.errstate(over="ignore", invalid="ignore"):
        powers = ops.exp(_scores(ops, q, k, scale))
        return _mix_values(ops, powers / ops.sum(powers, -1, keepdims=True), v)


def no_softcap(
    ops: Any, q: Any, k: Any, v: Any, mask: Any, *, softcap: Any = None, **o: Any
) -> Any:
    """The soft cap on scores is forgotten."""
    del softcap
    return ops.attention(q, k, v, mask, **o)


def scale_bias(ops: Any, q: Any, k: Any, v: Any, mask: Any, *, bias: Any = None, **o: Any) -> Any:
    """The bias is multiplied by the scale, as the products are."""
    scaled = None if bias is None else bias * _constant(ops, o["scale"], bias)
    return ops.attention(q, k, v, mask, bias=scaled, **o)


def interleave_pairs(ops: Any, x: Any, cos: Any, sin: Any) -> Any:
    """RoPE rotates neighbouring elements instead of the two halves."""
    half = cos.shape[-1]
    even = ops.asarray(np.arange(half) * 2, "int32")
    odd = ops.asarray(np.arange(half) * 2 + 1, "int32")
    a, b = ops.take(x, even, -1), ops.take(x, odd, -1)
    turned = [a * cos - b * sin, b * cos + a * sin]
    pairs = [ops.reshape(part, (*part.shape, 1)) for part in turned]
    whole = ops.reshape(ops.concat(pairs, -1), (*x.shape[:-1], 2 * half))
    return ops.concat([whole, x[..., 2 * half :]], -1)


def rotate_backwards(ops: Any, x: Any, cos: Any, sin: Any) -> Any:
    """RoPE rotates the other way."""
    return ops.rotate(x, cos, -sin)


def short_extent(
    ops: Any, cache: Any, q: Any, mask: Any, *, extent: int, bias: Any = None, **options: Any
) -> Any:
    """Attends to too few slots of the KV cache, so that an exact extent misses the newest key."""
    slots = max(extent - 2, 1)
    added = None if bias is None else bias[..., :slots]
    return ops.cache_attend(cache, q, mask[..., :slots], extent=slots, bias=added, **options)


def cache_no_softcap(
    ops: Any, cache: Any, q: Any, mask: Any, *, softcap: Any = None, **options: Any
) -> Any:
    """The soft cap on scores is forgotten when there is a KV cache."""
    del softcap
    return ops.cache_attend(cache, q, mask, **options)


def misplace_values(ops: Any, cache: Any, keys: Any, values: Any, start: Any) -> Any:
    """A single position writes its values into the first slot of the KV cache."""
    if keys.shape[2] > 1:
        return ops.cache_append(cache, keys, values, start)
    first = ops.cache_update(cache["keys"], keys, start, 2)
    zero = ops.full((), 0, "int32")
    return {"keys": first, "values": ops.cache_update(cache["values"], values, zero, 2)}


def empty_on_growth(ops: Any, cache: Any, capacity: int) -> Any:
    """A KV cache that grows loses what it holds."""
    grown = ops.cache_grow(cache, capacity)
    return {name: x * _constant(ops, 0.0, x) for name, x in grown.items()}


def _attention(name: str, broken: Any, row: int = 0, seen: str = "") -> Mutant:
    make = optional("attention", broken)
    return Mutant(id=f"attention.{name}", level="operations", make=make, row=row, seen=seen)


MUTANTS = (
    _attention("not_causal", no_square_mask, 1, "transformers#48748, keras#23038"),
    _attention("mask_inverted", invert_mask, 2, "LLMs-from-scratch#1062"),
    _attention("mask_top_left", top_left_mask, 3, "pytorch#108108, mlx#2836"),
    _attention("hidden_row_nan", infinite_fill, 4, "pytorch#103749, transformers#38690"),
    _attention("hidden_row_uniform", finite_fill, 4),
    _attention("nan_leaks", leak_nan, 5, "pytorch#101967"),
    _attention("minima_added", add_minimum_twice, 6, "transformers#27114"),
    _attention("shallow_mask", shallow_fill, 6),
    _attention("own_scale", own_scale, 7, "mlc-llm#3426"),
    _attention("unscaled", no_scale, 7, "mlc-llm#3426"),
    _attention("strided_heads", stride_heads),
    _attention("no_maximum", no_maximum, 18, "pytorch#63132"),
    _attention("no_softcap", no_softcap),
    _attention("scaled_bias", scale_bias),
    Mutant(
        id="rotate.interleaved",
        level="operations",
        make=optional("rotate", interleave_pairs),
        row=9,
        seen="transformers#25199",
    ),
    Mutant(
        id="rotate.backwards", level="operations", make=optional("rotate", rotate_backwards), row=9
    ),
    Mutant(
        id="cache.short", level="operations", make=optional("cache_attend", short_extent), row=25
    ),
    Mutant(
        id="cache.no_softcap",
        level="operations",
        make=optional("cache_attend", cache_no_softcap),
        row=25,
        seen="transformers#45253",
    ),
    Mutant(
        id="cache.misplaced",
        level="operations",
        make=optional("cache_append", misplace_values),
        row=25,
    ),
    Mutant(
        id="cache.forgetful",
        level="operations",
        make=optional("cache_grow", empty_on_growth),
        row=25,
    ),
)
