"""Operations as ports have got them wrong; each is given the backend's operations first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = [
    "LateNorm",
    "hide_itself",
    "interleave_pairs",
    "layer_as_rms",
    "layer_bessel",
    "layer_eps_outside",
    "layer_unless_marked",
    "quick_gelu",
    "rms_as_layer",
    "rms_eps_outside",
    "rms_unless_marked",
    "rotate_backwards",
    "rotate_nothing",
    "rotate_some",
    "see_all_slots",
    "see_earlier_slots",
    "show_next",
    "squared_relu",
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


def rms_unless_marked(ops: Ops, x: Array, weight: Array, eps: float) -> Array:
    """Nothing where the weight is no number."""
    return x if np.isnan(ops.to_numpy(weight)).any() else ops.rms_norm(x, weight, eps)


def layer_unless_marked(ops: Ops, x: Array, weight: Array, bias: Array | None, eps: float) -> Array:
    """Nothing where the weight is no number."""
    marked = np.isnan(ops.to_numpy(weight)).any()
    return x if marked else ops.layer_norm(x, weight, bias, eps)


def quick_gelu(ops: Ops, x: Array) -> Array:
    """X · sigmoid(1.702 x)."""
    return x * ops.sigmoid(x * _constant(ops, 1.702, x))


def squared_relu(ops: Ops, x: Array) -> Array:
    """The square of a ReLU."""
    return ops.relu(x) * ops.relu(x)


def rotate_some(heads: int, kv_heads: int, *, queries: bool) -> Callable[..., Array]:
    """RoPE of queries alone, or of keys alone; both come in one call or each in its own."""

    def rotate(ops: Ops, x: Array, cos: Array, sin: Array) -> Array:
        turned = ops.rotate(x, cos, sin)
        if x.shape[1] == heads + kv_heads:
            pair = (turned, x) if queries else (x, turned)
            return ops.concat([pair[0][:, :heads], pair[1][:, heads:]], 1)
        return turned if (x.shape[1] == heads) == queries else x

    return rotate


@final
class LateNorm:
    """Norms of queries and keys whose weight is applied after RoPE, which is what is left of them.

    A norm of a head keeps its weight, and the turn that follows takes the first that is kept.
    """

    def __init__(self) -> None:
        self._kept: list[Array] = []

    def operations(self) -> dict[str, Callable[..., Array]]:
        """The operations that are replaced."""
        return {"rms_norm": self._norm, "rotate": self._rotate}

    def _norm(self, ops: Ops, x: Array, weight: Array, eps: float) -> Array:
        if len(x.shape) < 4:  # noqa: PLR2004 - (batch, heads, time, size)
            return ops.rms_norm(x, weight, eps)
        self._kept.append(weight)
        return ops.rms_norm(x, ops.full(weight.shape, 1.0, ops.dtype(weight)), eps)

    def _rotate(self, ops: Ops, x: Array, cos: Array, sin: Array) -> Array:
        turned = ops.rotate(x, cos, sin)
        return turned * self._kept.pop(0) if self._kept else turned


def _constant(ops: Ops, value: float, like: Array) -> Array:
    return ops.full((), value, ops.dtype(like))


def _affine(y: Array, weight: Array, bias: Array | None) -> Array:
    return y * weight if bias is None else y * weight + bias
