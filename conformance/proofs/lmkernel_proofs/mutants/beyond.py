"""Backends that are right for the numbers and extents that tests usually have, and no others."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.composed.precision import constant
from lmkernel_proofs.mutants.mutant import Mutant, mandatory, optional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MUTANTS"]

_BY_FLOAT = ("minimum", "max", "concat", "broadcast_to", "sum")
_AXES = 5


def _by_float(op: str) -> Callable[..., Any]:
    """Integers go through float32."""

    def broken(ops: Any, *args: Any, **options: Any) -> Any:
        y = getattr(ops, op)(*args, **options)
        return ops.astype(ops.astype(y, "float32"), "int32") if ops.dtype(y) == "int32" else y

    return broken


def permuted_back(ops: Any, x: Any, axes: Any) -> Any:
    """Axes are read the other way round where there are many."""
    return ops.permute_dims(x, np.argsort(axes).tolist() if x.ndim == _AXES else axes)


def all_true(ops: Any, x: Any, shape: Any) -> Any:
    """Booleans that are repeated become true."""
    y = ops.broadcast_to(x, shape)
    return y | ~y if ops.dtype(x) == "bool" and len(shape) > x.ndim else y


def bounded_max(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """The search begins at a number that only seems small enough."""
    y = ops.max(x, axis, keepdims=keepdims)
    return y if ops.dtype(y) == "int32" else ops.maximum(y, constant(ops, -1e30, y))


def short_mean(ops: Any, x: Any, y: Any) -> Any:
    """The first thousands stand for all."""
    flat = [ops.reshape(v, (-1,))[:4096] for v in (x, y)]
    longer = int(np.prod(x.shape)) > flat[0].shape[0]
    return ops.mse(flat[0], flat[1] * constant(ops, 1.0 + longer, y))


def without_thin_delta(ops: Any, x: Any, weight: Any, bias: Any = None, delta: Any = None) -> Any:
    """A difference of rank one is passed over."""
    thin = delta is not None and delta[0].shape[0] == 1
    return ops.linear(x, weight, bias, None if thin else delta)


def two_marks(ops: Any, logits: Any, targets: Any, smoothing: float = 0.0) -> Any:
    """Two marks are ignored, and others are the first class."""
    zero, one, other = (ops.full((), n, "int32") for n in (0, -1, -100))
    marked = (targets == one) | (targets == other)
    known = ops.where(marked, targets, ops.maximum(targets, zero))
    return ops.cross_entropy(logits, known, smoothing)


def poisoned_rows(ops: Any, logits: Any, targets: Any, smoothing: float = 0.0) -> Any:
    """What is ignored is multiplied by zero."""
    y = ops.cross_entropy(logits, targets, smoothing)
    return y + constant(ops, 0.0, y) * ops.sum(logits, -1)


def _last_slot_kept(ops: Any, buffer: Any, values: Any, start: Any, axis: int) -> Any:
    """The last slot of many is never written."""
    slots = buffer.shape[axis]
    if slots >= 16 and values.shape[axis] == 1:  # noqa: PLR2004 - a vector
        start = ops.minimum(start, ops.full((), slots - 2, "int32"))
    return ops.cache_update(buffer, values, start, axis)


def _reversed_pieces(ops: Any, cache: Any, keys: Any, values: Any, start: Any) -> Any:
    """Long pieces after the first lie backwards."""
    if values.shape[2] >= 8 and int(ops.to_numpy(start)) > 0:  # noqa: PLR2004 - a vector
        values = values[:, :, ::-1]
    return ops.cache_append(cache, keys, values, start)


def clipped_bias(ops: Any, *args: Any, bias: Any = None, **options: Any) -> Any:
    """Biases are bounded."""
    if bias is not None:
        bias = ops.maximum(bias, constant(ops, -9.0, bias))
    return ops.attention(*args, bias=bias, **options)


def positive_scale(ops: Any, *args: Any, scale: float, **options: Any) -> Any:
    """The scale is taken as a size."""
    return ops.attention(*args, scale=abs(scale), **options)


def odd_rest_lost(ops: Any, x: Any, cos: Any, sin: Any) -> Any:
    """The last element of an odd rest is not written."""
    y = ops.rotate(x, cos, sin)
    if x.shape[-1] % 2:
        y = ops.concat([y[..., :-1], y[..., -1:] * constant(ops, 0.0, y)], x.ndim - 1)
    return y


def bounded_state(ops: Any, x: Any, h: Any, c: Any, weight: Any, bias: Any) -> Any:
    """What is remembered is bounded."""
    bound = constant(ops, 50.0, c)
    return ops.lstm_cell(x, h, ops.maximum(ops.minimum(c, bound), -bound), weight, bias)


def alike_in_a_row(ops: Any, x: Any, key: Any, rate: float) -> Any:
    """One draw is for a whole row of three axes."""
    if len(x.shape) < 3:  # noqa: PLR2004 - rows of texts
        return ops.dropout(x, key, rate)
    return x * ops.dropout(x[..., :1] * 0 + 1, key, rate)


def first_alone(ops: Any, f: Callable[..., Any]) -> Callable[..., Any]:
    """The gradient of the first argument alone comes back."""
    alone: Callable[..., Any] = ops.remat(
        lambda x, *others: f(x, *(ops.stop_gradient(y) for y in others))
    )
    return alone


def first_aux(ops: Any, f: Callable[..., Any], *, aux: bool = False) -> Callable[..., Any]:
    """What comes beside the value is that of the first call."""
    inner, first = ops.value_and_grad(f, aux=aux), []

    def call(*args: Any) -> Any:
        value, gradient = inner(*args)
        if not aux:
            return value, gradient
        first.append(value[1])
        return (value[0], first[0]), gradient

    return call


def none_along_long_axes(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """No gradient flows through a long axis that is kept."""
    y = ops.max(x, axis, keepdims=keepdims)
    return ops.stop_gradient(y) if keepdims and x.shape[axis] >= 32 else y  # noqa: PLR2004 - a vector


def none_to_a_number(ops: Any, x: Any, y: Any) -> Any:
    """A number that is compared with a row has no gradient."""
    return ops.maximum(x, ops.stop_gradient(y) if not y.shape and x.shape else y)


def as_if_shares(ops: Any, logits: Any, target: Any) -> Any:
    """The gradient is that of targets that sum to one."""
    more = ops.stop_gradient(ops.sum(target, -1)) - constant(ops, 1.0, target)
    normaliser = logits[..., 0] - ops.log_softmax(logits, -1)[..., 0]
    nothing = normaliser - ops.stop_gradient(normaliser)
    return ops.soft_cross_entropy(logits, target) - more * nothing


def bounded_norm(ops: Any, arrays: Any) -> Any:
    """Norms are bounded."""
    y = ops.global_norm(arrays)
    return ops.minimum(y, constant(ops, 1e6, y))


def _of(op: str, name: str, make: Any, level: str = "operations") -> Mutant:
    return Mutant(id=f"{op}.{name}", level=level, make=make)


_MANDATORY: Mapping[str, tuple[str, Callable[..., Any]]] = MappingProxyType(
    {
        "permute_dims": ("back_for_five", permuted_back),
        "broadcast_to": ("all_true", all_true),
        "max": ("bounded", bounded_max),
        "cache_update": ("last_slot_kept", _last_slot_kept),
    }
)
_OPTIONAL: Mapping[str, tuple[str, Callable[..., Any]]] = MappingProxyType(
    {
        "mse": ("of_thousands", short_mean),
        "linear": ("without_thin_delta", without_thin_delta),
        "cache_append": ("reversed_pieces", _reversed_pieces),
        "rotate": ("odd_rest_lost", odd_rest_lost),
        "lstm_cell": ("bounded_state", bounded_state),
        "dropout": ("alike_in_a_row", alike_in_a_row),
    }
)
MUTANTS = (
    *(_of(op, "by_float", mandatory(op, _by_float(op))) for op in _BY_FLOAT),
    *(_of(op, name, mandatory(op, broken)) for op, (name, broken) in _MANDATORY.items()),
    *(_of(op, name, optional(op, broken)) for op, (name, broken) in _OPTIONAL.items()),
    _of("cross_entropy", "two_marks", optional("cross_entropy", two_marks)),
    _of("cross_entropy", "poisoned_rows", optional("cross_entropy", poisoned_rows)),
    _of("attention", "clipped_bias", optional("attention", clipped_bias)),
    _of("attention", "positive_scale", optional("attention", positive_scale)),
    _of("remat", "first_alone", optional("remat", first_alone), "gradients"),
    _of("value_and_grad", "first_aux", mandatory("value_and_grad", first_aux), "gradients"),
    _of("max", "none_along_long_axes", mandatory("max", none_along_long_axes), "gradients"),
    _of("maximum", "none_to_a_number", mandatory("maximum", none_to_a_number), "gradients"),
    _of(
        "soft_cross_entropy",
        "as_if_shares",
        optional("soft_cross_entropy", as_if_shares),
        "gradients",
    ),
    _of("global_norm", "bounded", optional("global_norm", bounded_norm), "training"),
)
