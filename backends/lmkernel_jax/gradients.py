"""Operations whose gradients are written by hand.

Constraint: left to itself, JAX keeps every intermediate value and reads it again. Here the backward
pass recomputes what is element-wise, so that a large array is written once and read once each way.
16-bit inputs are computed in float32.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array

__all__ = ["attend", "cross_entropy", "gelu", "gelu_tanh", "layer_norm"]

_CUBIC = 0.044715
_SLOPE = math.sqrt(2 / math.pi)
_HIDDEN = -1e30
"""The score of a masked slot; its weight is set to zero afterwards."""


def _wide(x: Array) -> Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


# activations


@jax.custom_vjp
def gelu(x: Array) -> Array:
    """X · Φ(x)."""
    return _gelu_forward(x)[0]


def _gelu_forward(x: Array) -> tuple[Array, Array]:
    z = _wide(x)
    return (z * _normal(z)).astype(x.dtype), x


def _gelu_backward(x: Array, g: Array) -> tuple[Array]:
    z = _wide(x)
    density = jnp.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi))
    return ((_wide(g) * (_normal(z) + z * density)).astype(x.dtype),)


def _normal(z: Array) -> Array:
    return 0.5 * (1 + lax.erf(z * math.sqrt(0.5)))


gelu.defvjp(_gelu_forward, _gelu_backward)


@jax.custom_vjp
def gelu_tanh(x: Array) -> Array:
    """x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³)))."""
    return _gelu_tanh_forward(x)[0]


def _gelu_tanh_forward(x: Array) -> tuple[Array, Array]:
    z = _wide(x)
    return (0.5 * z * (1 + _bend(z))).astype(x.dtype), x


def _gelu_tanh_backward(x: Array, g: Array) -> tuple[Array]:
    z = _wide(x)
    t = _bend(z)
    slope = _SLOPE * (1 + 3 * _CUBIC * z * z)
    return ((_wide(g) * 0.5 * (1 + t + z * (1 - t * t) * slope)).astype(x.dtype),)


def _bend(z: Array) -> Array:
    return jnp.tanh(_SLOPE * (z + _CUBIC * z * z * z))


gelu_tanh.defvjp(_gelu_tanh_forward, _gelu_tanh_backward)


# normalisation


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def layer_norm(x: Array, weight: Array, bias: Array | None, eps: float) -> Array:
    """Centred first, so that a large mean does not cancel away the variance."""
    return _norm_forward(x, weight, bias, eps)[0]


def _norm_forward(x: Array, weight: Array, bias: Array | None, eps: float) -> tuple[Array, Any]:
    z = _wide(x)
    mean = jnp.mean(z, -1, keepdims=True)
    root = lax.rsqrt(jnp.mean(jnp.square(z - mean), -1, keepdims=True) + eps)
    y = (z - mean) * root * _wide(weight)
    y = y if bias is None else y + _wide(bias)
    return y.astype(x.dtype), (x, weight, bias, mean, root)


def _norm_backward(eps: float, kept: Any, g: Array) -> tuple[Array, Array, Array | None]:
    del eps
    x, weight, bias, mean, root = kept
    scaled, g = (_wide(x) - mean) * root, _wide(g)
    inner = g * _wide(weight)
    along = jnp.mean(inner * scaled, -1, keepdims=True)
    dx = (inner - jnp.mean(inner, -1, keepdims=True) - scaled * along) * root
    rows = tuple(range(x.ndim - 1))
    dweight = jnp.sum(g * scaled, rows).astype(weight.dtype)
    return (
        dx.astype(x.dtype),
        dweight,
        None if bias is None else jnp.sum(g, rows).astype(bias.dtype),
    )


layer_norm.defvjp(_norm_forward, _norm_backward)


# losses


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def cross_entropy(logits: Array, targets: Array, smoothing: float = 0.0) -> Array:
    """Log Σ exp(x) - (1 - s)·x[target] - s·mean(x); 0 where a target is negative."""
    return _entropy_forward(logits, targets, smoothing)[0]


def _entropy_forward(logits: Array, targets: Array, smoothing: float) -> tuple[Array, Any]:
    x = _wide(logits)
    highest = jnp.max(x, -1, keepdims=True)
    spread = jnp.log(jnp.sum(jnp.exp(x - highest), -1, keepdims=True))
    chosen = jnp.take_along_axis(x, jnp.maximum(targets, 0)[..., None], -1) - highest
    losses = spread - (1 - smoothing) * chosen
    if smoothing:
        losses = losses - smoothing * jnp.mean(x - highest, -1, keepdims=True)
    losses = jnp.where(targets >= 0, losses[..., 0], 0)
    return losses.astype(logits.dtype), (logits, targets, highest, spread)


def _entropy_backward(smoothing: float, kept: Any, g: Array) -> tuple[Array, None]:
    logits, targets, highest, spread = kept
    classes = lax.broadcasted_iota(targets.dtype, logits.shape, logits.ndim - 1)
    own = jnp.where(classes == targets[..., None], 1 - smoothing, 0.0)
    slope = jnp.exp(_wide(logits) - highest - spread) - own.astype(spread.dtype)
    if smoothing:
        slope = slope - smoothing / logits.shape[-1]
    factor = jnp.where(targets >= 0, _wide(g), 0)[..., None]
    return (slope * factor).astype(logits.dtype), None


cross_entropy.defvjp(_entropy_forward, _entropy_backward)


# attention


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def attend(queries: Array, keys: Array, values: Array, mask: Array | None, scale: float) -> Array:
    """softmax(scale · q·kᵀ)·v; query heads of one group are stacked as rows."""
    return _attend_forward(queries, keys, values, mask, scale)[0]


def _attend_forward(
    queries: Array, keys: Array, values: Array, mask: Array | None, scale: float
) -> tuple[Array, Any]:
    shape = (*queries.shape[:3], keys.shape[2])
    scores = _contract(_stack_groups(queries, keys), keys, 3, 3).reshape(shape) * scale
    # finite, for in a row that sees nothing -inf - -inf would be NaN
    shown = scores if mask is None else jnp.where(mask, scores, _HIDDEN)
    powers = jnp.exp(shown - jnp.max(shown, -1, keepdims=True))
    if mask is not None:
        powers = jnp.where(mask, powers, 0)
    total = jnp.sum(powers, -1, keepdims=True)
    weights = (powers / jnp.where(total > 0, total, 1)).astype(values.dtype)
    mixed = _contract(_stack_groups(weights, keys), values, 3, 2)
    out = mixed.reshape(*queries.shape[:3], -1).astype(values.dtype)
    return out, (queries, keys, values, weights, out)


def _attend_backward(scale: float, kept: Any, g: Array) -> tuple[Array | None, ...]:
    queries, keys, values, weights, out = kept
    # Σ dP·P over the slots equals Σ g·out over the head, which is far smaller
    rows, along = _stack_groups(g, keys), jnp.sum(_wide(g) * _wide(out), -1, keepdims=True)
    slopes = _contract(rows, values, 3, 3).reshape(weights.shape) - along
    slopes = _stack_groups((_wide(weights) * slopes * scale).astype(keys.dtype), keys)
    dq = _contract(slopes, keys, 3, 2).reshape(queries.shape)
    dk = _contract(_stack_groups(queries, keys), slopes, 2, 2).swapaxes(2, 3)
    dv = _contract(rows, _stack_groups(weights, keys), 2, 2).swapaxes(2, 3)
    return (
        dq.astype(queries.dtype),
        dk.astype(keys.dtype),
        dv.astype(values.dtype),
        None,
    )


def _stack_groups(x: Array, keys: Array) -> Array:
    """``(batch, heads, time, n) -> (batch, kv_heads, heads / kv_heads · time, n)``."""
    return x.reshape(*keys.shape[:2], -1, x.shape[-1])


def _contract(x: Array, y: Array, left: int, right: int) -> Array:
    """Products over one axis of each, for every key head; 16-bit ones add up in float32."""
    axes = (((left,), (right,)), ((0, 1), (0, 1)))
    wide = jnp.promote_types(x.dtype, jnp.float32)
    return lax.dot_general(x, y, axes, preferred_element_type=wide)


attend.defvjp(_attend_forward, _attend_backward)
