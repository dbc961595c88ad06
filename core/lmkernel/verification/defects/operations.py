"""Operations as ports have got them wrong; each is given the backend's operations first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = [
    "hide_itself",
    "interleave_pairs",
    "layer_as_rms",
    "layer_bessel",
    "layer_eps_outside",
    "rms_as_layer",
    "rms_eps_outside",
    "rotate_backwards",
    "rotate_nothing",
    "see_all_slots",
    "see_earlier_slots",
    "show_next",
    "stride_heads",
]


def interleave_pairs(ops: Ops, x: Array, cos: Array, sin: Array) -> Array:
    """RoPE on neighbouring elements; what is turned stays where it is."""
    half = cos.shape[-1]
    turned = 2 * half
    even, odd = (ops.asarray(np.arange(half) * 2 + i, "int32") for i in (0, 1))
    a, b = ops.take(x, even, -1), ops.take(x, odd, -1)
    pairs = [ops.reshape(y, (*y.shape, 1)) for y in (a * cos - b * sin, b * cos + a * sin)]
    whole = ops.reshape(ops.concat(pairs, -1), (*x.shape[:-1], turned))
    return ops.concat([whole, x[..., turned:]], -1)


def rotate_backwards(ops: Ops, x: Array, cos: Array, sin: Array) -> Array:
    """RoPE by minus the angle."""
    return ops.rotate(x, cos, -sin)


def rotate_nothing(ops: Ops, x: Array, cos: Array, sin: Array) -> Array:
    """No RoPE."""
    del ops, cos, sin
    return x


def rms_eps_outside(ops: Ops, x: Array, weight: Array, eps: float) -> Array:
    """The root is taken before ε is added: x / (√mean(x²) + ε)."""
    root = ops.sqrt(ops.mean(x * x, -1, keepdims=True))
    return x / (root + _constant(ops, eps, x)) * weight


def layer_eps_outside(ops: Ops, x: Array, weight: Array, bias: Array | None, eps: float) -> Array:
    """The root is taken before ε is added: (x - mean) / (√var + ε)."""
    centred = x - ops.mean(x, -1, keepdims=True)
    root = ops.sqrt(ops.mean(centred * centred, -1, keepdims=True))
    return _affine(centred / (root + _constant(ops, eps, x)), weight, bias)


def layer_bessel(ops: Ops, x: Array, weight: Array, bias: Array | None, eps: float) -> Array:
    """The variance divides by n - 1."""
    centred, n = x - ops.mean(x, -1, keepdims=True), x.shape[-1]
    variance = ops.mean(centred * centred, -1, keepdims=True) * _constant(ops, n / (n - 1), x)
    return _affine(centred / ops.sqrt(variance + _constant(ops, eps, x)), weight, bias)


def rms_as_layer(ops: Ops, x: Array, weight: Array, eps: float) -> Array:
    """A layer norm without a bias."""
    return ops.layer_norm(x, weight, None, eps)


def layer_as_rms(ops: Ops, x: Array, weight: Array, bias: Array | None, eps: float) -> Array:
    """An RMS norm with the layer norm's bias."""
    normalised = ops.rms_norm(x, weight, eps)
    return normalised if bias is None else normalised + bias


def stride_heads(ops: Ops, q: Array, k: Array, v: Array, mask: Array, **options: Any) -> Array:
    """Query head h uses key head h mod kv_heads."""
    index = ops.asarray(np.arange(q.shape[1]) % k.shape[1], "int32")
    keys, values = (ops.take(x, index, 1) for x in (k, v))
    return ops.attention(q, keys, values, mask, **options)


def hide_itself(ops: Ops, q: Array, k: Array, v: Array, mask: Array, **options: Any) -> Array:
    """Nobody sees its own slot but the first, which sees nothing else."""
    own = np.eye(q.shape[2], k.shape[2], dtype=bool)
    own[0, 0] = False
    return ops.attention(q, k, v, mask & ops.asarray(~own, "bool"), **options)


def show_next(ops: Ops, q: Array, k: Array, v: Array, mask: Array, **options: Any) -> Array:
    """Everybody sees one slot more."""
    later = np.eye(q.shape[2], k.shape[2], 1, dtype=bool)
    return ops.attention(q, k, v, mask | ops.asarray(later, "bool"), **options)


def see_earlier_slots(ops: Ops, q: Array, k: Array, v: Array, mask: Array, **options: Any) -> Array:
    """Everybody sees every slot up to its own, padding too."""
    del mask
    earlier = np.tril(np.ones((1, 1, q.shape[2], k.shape[2]), bool))
    return ops.attention(q, k, v, ops.asarray(earlier, "bool"), **options)


def see_all_slots(ops: Ops, q: Array, k: Array, v: Array, mask: Array, **options: Any) -> Array:
    """Everybody sees every slot, padding too."""
    del mask
    return ops.attention(q, k, v, None, **options)


def _constant(ops: Ops, value: float, like: Array) -> Array:
    return ops.full((), value, ops.dtype(like))


def _affine(y: Array, weight: Array, bias: Array | None) -> Array:
    return y * weight if bias is None else y * weight + bias
