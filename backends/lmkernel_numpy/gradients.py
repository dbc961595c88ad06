"""Optional operations with gradients of their own, for arrays that autograd traces.

Constraints: each is one node of autograd's graph, in place of the dozens that its composition
makes, and computes in blocks that stay in the processor's cache. What the backward pass needs of
the forward pass is kept in the list that the call hands in as ``saved``.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from autograd.extend import defvjp_argnums, primitive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lmkernel.contract.mandatory import Array

__all__ = [
    "cross_entropy",
    "differentiable",
    "expert_linear",
    "gelu_tanh",
    "layer_norm",
    "linear",
    "rms_norm",
]

_BLOCK = 1 << 15
"""Elements of a block: a few arrays of this size fit into a processor's second cache."""


def differentiable(backward: Callable[..., Sequence[Array]]) -> Callable[..., Any]:
    """A primitive of autograd; ``backward(g, ans, args, saved)`` gives all its gradients."""

    def decorate(forward: Callable[..., Array]) -> Callable[..., Array]:
        # one node with all gradients at once: autograd's usual way, a function for each argument,
        # would compute what they share once for each
        node = primitive(forward)

        def vjps(numbers: Sequence[int], ans: Array, args: Any, options: Any) -> Any:
            def vjp(g: Array) -> tuple[Array, ...]:
                # what comes back through autograd's maxima is float64
                found = backward(np.asarray(g, ans.dtype), ans, args, **options)
                return tuple(found[i] for i in numbers)

            return vjp

        defvjp_argnums(node, vjps)

        @functools.wraps(forward)
        def call(*args: Any) -> Array:
            return node(*args, saved=[])

        return call

    return decorate


def _blocks(rows: int, width: int) -> Iterator[slice]:
    """Slices of rows of about `_BLOCK` elements."""
    size = max(1, _BLOCK // max(width, 1))
    yield from (slice(begin, begin + size) for begin in range(0, rows, size))


def _flat(x: Array) -> Array:
    """Rows of the last axis."""
    return x.reshape(-1, x.shape[-1])


# linear


def _linear_backward(g: Array, ans: Array, args: Any, saved: list[Any]) -> tuple[Array, ...]:
    del ans, saved
    x, weight = args[:2]
    rows = _flat(np.ascontiguousarray(g))
    back = np.dot(rows, weight).reshape(x.shape)
    gradients = (back, np.dot(rows.T, _flat(x)))
    return gradients if len(args) < 3 else (*gradients, rows.sum(0))  # noqa: PLR2004 - with a bias


@differentiable(_linear_backward)
def linear(x: Array, weight: Array, *bias: Array, saved: list[Any]) -> Array:
    """``x (…, in)`` times the transpose of ``weight (out, in)``, plus a bias where there is one."""
    del saved
    y = np.dot(_flat(x), weight.T)
    for b in bias:
        y += b
    return y.reshape(*x.shape[:-1], weight.shape[0])


def _expert_backward(g: Array, ans: Array, args: Any, saved: list[Any]) -> tuple[Array, ...]:
    del ans, saved
    x, weight, experts = args
    back, matrices = np.empty_like(x), np.zeros_like(weight)
    for expert in np.unique(experts):
        rows = experts == expert
        back[rows] = np.dot(g[rows], weight[expert])
        matrices[expert] = np.dot(g[rows].T, x[rows])
    return (back, matrices)


@differentiable(_expert_backward)
def expert_linear(x: Array, weight: Array, experts: Array, *, saved: list[Any]) -> Array:
    """Rows of one expert together, so that only the matrices that are asked for are read."""
    del saved
    y = np.empty((len(x), weight.shape[1]), np.result_type(x, weight))
    for expert in np.unique(experts):
        rows = experts == expert
        y[rows] = np.dot(x[rows], weight[expert].T)
    return y


# normalisation


def _layer_norm_backward(g: Array, ans: Array, args: Any, saved: list[Any]) -> tuple[Array, ...]:
    """With x̂ and 1/σ kept: (h - mean(h) - x̂·mean(h·x̂)) / σ for h = g · weight."""
    del ans
    x, weight = args[0], args[1]
    normal, inverse = saved
    rows, out = _flat(g), np.empty_like(normal)
    of_weight, of_bias = np.zeros_like(weight), np.zeros_like(weight)
    width = x.dtype.type(x.shape[-1])
    for block in _blocks(*normal.shape):
        part, hat = rows[block], normal[block]
        of_bias += part.sum(0)
        of_weight += np.einsum("ij,ij->j", part, hat)
        h = part * weight
        middle = h.sum(-1, keepdims=True) / width
        h -= middle
        h -= hat * (np.einsum("ij,ij->i", h, hat)[:, None] / width)
        np.multiply(h, inverse[block], out=out[block])
    return out.reshape(x.shape), of_weight, of_bias


@differentiable(_layer_norm_backward)
def _layer_norm(x: Array, weight: Array, bias: Array, eps: float, *, saved: list[Any]) -> Array:
    rows = _flat(x)
    normal, inverse = np.empty_like(rows), np.empty((len(rows), 1), x.dtype)
    out = np.empty_like(rows)
    width = x.dtype.type(x.shape[-1])
    for block in _blocks(*rows.shape):
        hat = normal[block]
        np.subtract(rows[block], rows[block].sum(-1, keepdims=True) / width, out=hat)
        variance = np.einsum("ij,ij->i", hat, hat)[:, None] / width
        inverse[block] = 1 / np.sqrt(variance + x.dtype.type(eps))
        hat *= inverse[block]
        np.multiply(hat, weight, out=out[block])
        out[block] += bias
    saved[:] = [normal, inverse]
    return out.reshape(x.shape)


def layer_norm(x: Array, weight: Array, bias: Array | None, eps: float) -> Array:
    """(x - mean) / √(variance + ε) · weight + bias over the last axis, in two passes."""
    shift = bias if bias is not None else np.zeros(weight.shape, x.dtype)
    return _layer_norm(x, weight, shift, eps)


def _rms_norm_backward(g: Array, ans: Array, args: Any, saved: list[Any]) -> tuple[Array, ...]:
    """With x̂ and 1/ρ kept: (h - x̂·mean(h·x̂)) / ρ for h = g · weight."""
    del ans
    x, weight = args[0], args[1]
    normal, inverse = saved
    rows, out, of_weight = _flat(g), np.empty_like(normal), np.zeros_like(weight)
    width = x.dtype.type(x.shape[-1])
    for block in _blocks(*normal.shape):
        part, hat = rows[block], normal[block]
        of_weight += np.einsum("ij,ij->j", part, hat)
        h = part * weight
        h -= hat * (np.einsum("ij,ij->i", h, hat)[:, None] / width)
        np.multiply(h, inverse[block], out=out[block])
    return out.reshape(x.shape), of_weight


@differentiable(_rms_norm_backward)
def rms_norm(x: Array, weight: Array, eps: float, *, saved: list[Any]) -> Array:
    """X / √(mean(x²) + ε) · weight over the last axis."""
    rows = _flat(x)
    power = np.einsum("ij,ij->i", rows, rows)[:, None] / x.dtype.type(x.shape[-1])
    inverse = 1 / np.sqrt(power + x.dtype.type(eps))
    normal = rows * inverse
    saved[:] = [normal, inverse]
    return (normal * weight).reshape(x.shape)


# activation

_ROOT, _CUBIC = math.sqrt(2 / math.pi), 0.044715


def _gelu_tanh_backward(g: Array, ans: Array, args: Any, saved: list[Any]) -> tuple[Array, ...]:
    """½(1 + t) + ½·x·(1 - t²)·√(2/π)·(1 + 3·0.044715·x²), with t = tanh(…) kept."""
    del ans
    x = args[0]
    (kept,) = saved
    c = x.dtype.type
    flat, grads, bent = x.reshape(-1), np.ascontiguousarray(g).reshape(-1), kept.reshape(-1)
    out = np.empty_like(flat)
    for block in _blocks(flat.size, 1):
        a, t = flat[block], bent[block]
        slope = a * a
        slope *= c(3 * _CUBIC * _ROOT / 2)
        slope += c(_ROOT / 2)
        slope *= a
        slope *= (1 - t) * (1 + t)
        slope += c(0.5)
        slope += c(0.5) * t
        np.multiply(slope, grads[block], out=out[block])
    return (out.reshape(x.shape),)


@differentiable(_gelu_tanh_backward)
def gelu_tanh(x: Array, *, saved: list[Any]) -> Array:
    """½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))."""
    c = x.dtype.type
    flat = x.reshape(-1)
    kept, out = np.empty_like(flat), np.empty_like(flat)
    for block in _blocks(flat.size, 1):
        a, t = flat[block], kept[block]
        np.multiply(a, a, out=t)
        t *= c(_CUBIC * _ROOT)
        t += c(_ROOT)
        t *= a
        np.tanh(t, out=t)
        y = out[block]
        np.add(t, c(1), out=y)
        y *= a
        y *= c(0.5)
    saved[:] = [kept]
    return out.reshape(x.shape)


# loss


def _cross_entropy_backward(g: Array, ans: Array, args: Any, saved: list[Any]) -> tuple[Array, ...]:
    """Softmax minus the smoothed target, written over the softmax that was kept.

    Logits are the largest arrays of a training step, so no third one is made beside them.
    """
    del ans
    logits, targets, smoothing = args
    (weights,) = saved
    c = logits.dtype.type
    classes, scale = targets.reshape(-1), (g * (targets >= 0)).reshape(-1, 1)
    rows = np.arange(len(weights))
    weights[rows, np.maximum(classes, 0)] -= c(1 - smoothing)
    if smoothing:
        weights -= c(smoothing / weights.shape[-1])
    for block in _blocks(*weights.shape):
        weights[block] *= scale[block]
    return (weights.reshape(logits.shape),)


@differentiable(_cross_entropy_backward)
def _cross_entropy(logits: Array, targets: Array, smoothing: float, *, saved: list[Any]) -> Array:
    rows, classes = _flat(logits), targets.reshape(-1)
    weights, losses = np.empty_like(rows), np.empty(len(rows), rows.dtype)
    c = rows.dtype.type
    for block in _blocks(*rows.shape):
        part, w = rows[block], weights[block]
        largest = part.max(-1, keepdims=True)
        np.subtract(part, largest, out=w)
        here = np.arange(len(w))
        picked = w[here, np.maximum(classes[block], 0)]
        mean = w.mean(-1) if smoothing else c(0)
        np.exp(w, out=w)
        total = w.sum(-1, keepdims=True)
        w /= total
        losses[block] = np.log(total[:, 0]) - c(1 - smoothing) * picked - c(smoothing) * mean
    saved[:] = [weights]
    losses[classes < 0] = 0
    return losses.reshape(targets.shape)


def cross_entropy(logits: Array, targets: Array, smoothing: float = 0.0) -> Array:
    """-log softmax(logits)[target], 0 where a target is negative, with label smoothing."""
    return _cross_entropy(logits, targets, smoothing)
