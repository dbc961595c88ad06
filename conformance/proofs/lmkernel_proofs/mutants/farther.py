"""Backends that are wrong at the ends of what operations take: far out, and in what is rare."""

from __future__ import annotations

import itertools
import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.composed.precision import constant
from lmkernel.contract.trees import tree_map
from lmkernel_proofs.mutants.mutant import Mutant, Replacement, mandatory, optional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.backend import Backend

__all__ = ["MUTANTS"]


def infinite_early(ops: Any, x: Any) -> Any:
    """The last powers before the largest number are infinite, as 2^128 comes first in a kernel."""
    top = math.log(float(np.finfo(ops.dtype(x)).max)) - 0.7
    return ops.where(x > constant(ops, top, x), constant(ops, math.inf, x), ops.exp(x))


def cut_off(ops: Any, x: Any, dtype: Any) -> Any:
    """Numbers of more digits lose those that are too many."""
    y = ops.astype(x, dtype)
    if ops.dtype(x) != "float64" or dtype != "float32":
        return y
    host = ops.to_numpy(y)
    nearer = np.nextafter(host, np.zeros((), host.dtype))
    return ops.asarray(np.where(np.abs(host) > np.abs(ops.to_numpy(x)), nearer, host), dtype)


def bytes_as_they_lie(ops: Any, value: Any, dtype: Any, *, copy: bool = True) -> Any:
    """The order of bytes is taken for the machine's."""
    if isinstance(value, np.ndarray) and not value.dtype.isnative:
        value = value.view(value.dtype.newbyteorder("="))
        value = np.where(np.isfinite(value) & (np.abs(value) < 1e9), value, 0)  # noqa: PLR2004 - that no cast warns
    return ops.asarray(value, dtype, copy=copy)


def without_sign_of_zero(ops: Any, value: Any, dtype: Any, *, copy: bool = True) -> Any:
    """0 has no sign."""
    y = ops.asarray(value, dtype, copy=copy)
    return y + np.zeros((), y.dtype) if y.dtype.kind == "f" else y


def without_booleans(ops: Any, x: Any) -> Any:
    """Booleans become integers where gradients stop."""
    return ops.astype(x, "int32") if ops.dtype(x) == "bool" else ops.stop_gradient(x)


def draws_of_few_digits(ops: Any, key: Any, shape: Any, dtype: Any) -> Any:
    """Draws are made in float32."""
    return ops.astype(ops.random_uniform(key, shape, "float32"), dtype)


def dropped_by_product(ops: Any, x: Any, key: Any, rate: float) -> Any:
    """What is dropped is multiplied by zero."""
    with np.errstate(invalid="ignore"):
        return x * ops.dropout(ops.full(x.shape, 1.0, ops.dtype(x)), key, rate)


def shares_of_nothing(ops: Any, x: Any, axis: int = -1) -> Any:
    """A row of which nothing is left has shares of zero."""
    y = ops.softmax(x, axis)
    gone = ops.max(x, axis, keepdims=True) == constant(ops, -math.inf, x)
    return ops.where(gone, constant(ops, 0.0, x), y)


def picked_by_product(ops: Any, logits: Any, targets: Any, smoothing: float = 0.0) -> Any:
    """Every class is multiplied by its share of the target, be it zero."""
    shares = ops.one_hot(targets, logits.shape[-1], ops.dtype(logits))
    with np.errstate(invalid="ignore"):
        nothing = ops.sum(constant(ops, 0.0, logits) * logits * shares, -1)
    return ops.cross_entropy(logits, targets, smoothing) + nothing


def bounded_smoothing(ops: Any, logits: Any, targets: Any, smoothing: float = 0.0) -> Any:
    """A target keeps half at least."""
    return ops.cross_entropy(logits, targets, min(smoothing, 0.5))


def by_squares_where_far(ops: Any, x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """The variance of large numbers is that of squares less the square of the mean."""
    mean = ops.mean(x, -1, keepdims=True)
    square = ops.maximum(ops.mean(x * x, -1, keepdims=True) - mean * mean, constant(ops, 0.0, x))
    y = (x - mean) / ops.sqrt(square + constant(ops, eps, x)) * weight
    far = ops.max(ops.maximum(x, -x), -1, keepdims=True) > constant(ops, 2.0**16, x)
    return ops.where(far, y if bias is None else y + bias, ops.layer_norm(x, weight, bias, eps))


def bounded_power(ops: Any, x: Any, weight: Any, eps: float) -> Any:
    """The mean square is bounded."""
    power = ops.mean(x * x, -1, keepdims=True)
    bound = constant(ops, 2.0**100, x)
    bounded = x / ops.sqrt(bound) * weight
    return ops.where(power > bound, bounded, ops.rms_norm(x, weight, eps))


def crossed_axes(ops: Any, x: Any, y: Any) -> Any:
    """Where each side is repeated along an axis of the other, the first matrix serves for all."""
    crossed = len(x.shape) > 3 and 1 == x.shape[0] < y.shape[0]  # noqa: PLR2004 - two leading axes
    return ops.matmul(x, ops.broadcast_to(y[:1], y.shape) if crossed else y)


def first_of_five_axes(ops: Any, x: Any, y: Any) -> Any:
    """The first of many matrices serves for all, where they have three leading axes."""
    many = len(x.shape) == 5  # noqa: PLR2004 - three leading axes
    return ops.matmul(ops.broadcast_to(x[:1], x.shape) if many else x, y)


def half_a_difference(ops: Any, x: Any, weight: Any, bias: Any = None, delta: Any = None) -> Any:
    """The second part of a difference has no gradient, where x has four axes."""
    if delta is not None and len(x.shape) == 4:  # noqa: PLR2004 - texts, heads, tokens
        delta = (delta[0], ops.stop_gradient(delta[1]))
    return ops.linear(x, weight, bias, delta)


def none_of_heads(ops: Any, x: Any, y: Any) -> Any:
    """A number that heads are compared with hides them from gradients."""
    heads = len(x.shape) == 4 and not y.shape  # noqa: PLR2004 - texts, heads, tokens
    return ops.maximum(ops.stop_gradient(x) if heads else x, y)


def _shared_places(backend: Backend) -> Backend:
    """Long gradients of one shape and place in the tree are written to one memory."""
    places: dict[Any, Any] = {}

    def broken(ops: Any, f: Callable[..., Any], *, aux: bool = False) -> Callable[..., Any]:
        inner = ops.value_and_grad(f, aux=aux)

        def call(*args: Any) -> Any:
            value, gradient = inner(*args)
            number = itertools.count()

            def place(x: Any) -> Any:
                key = (next(number), x.shape, x.dtype)
                if x.ndim != 1 or x.size < 64:  # noqa: PLR2004 - worth keeping
                    return x
                kept = places.setdefault(key, np.empty_like(x))
                kept[...] = x
                return kept

            return value, tree_map(place, gradient)

        return call

    return mandatory("value_and_grad", broken)(backend)


def each_row_once(ops: Any, weight: Any, indices: Any) -> Any:
    """A row that ids of three axes name twice has the gradient of one."""
    y = ops.take_rows(weight, indices)
    if len(indices.shape) != 3:  # noqa: PLR2004 - rows of rows
        return y
    flat = ops.to_numpy(indices).reshape(-1)
    _, first = np.unique(flat, return_index=True)
    seen = np.isin(np.arange(flat.size), first).reshape(*indices.shape, 1)
    return ops.where(ops.asarray(seen, "bool"), y, ops.stop_gradient(y))


def decays_of_eight(ops: Any, *arrays: Any, decays: Any, **options: Any) -> Any:
    """The parameters after the eighth do not decay."""
    few = [decay if i < 8 else 0.0 for i, decay in enumerate(decays)]  # noqa: PLR2004 - a block
    return ops.adam_update(*arrays, decays=few, **options)


def moments_by_shape(
    ops: Any, params: Any, grads: Any, first: Any, second: Any, *rest: Any, **options: Any
) -> Any:
    """From four parameters of one shape on, they share a moment."""
    shapes = [p.shape for p in params]
    many = {shape for shape in shapes if shapes.count(shape) > 3}  # noqa: PLR2004 - worth a group
    firsts = [shapes.index(shape) if shape in many else i for i, shape in enumerate(shapes)]
    shared = [first[i] + ops.full((), 0.0, ops.dtype(first[i])) for i in firsts]
    return ops.adam_update(params, grads, shared, second, *rest, **options)


def idle_when_late(
    ops: Any, params: Any, grads: Any, first: Any, second: Any, scalars: Any, **options: Any
) -> Any:
    """After a thousand steps the first moment is the gradient."""
    late = scalars["step"] > ops.full((), 1000.0, ops.dtype(scalars["step"]))
    first = [
        ops.where(late, g * scalars["grad_scale"], m) for g, m in zip(grads, first, strict=True)
    ]
    return ops.adam_update(params, grads, first, second, scalars, **options)


def softmax_without_floor(ops: Any, x: Any, axis: int = -1) -> Any:
    """Block by block with a running maximum, which is -∞ where a block has nothing else."""
    extent = x.shape[axis]
    top = total = None
    for start in range(0, extent, 3):
        places = ops.arange(start, min(start + 3, extent), "int32")
        part = ops.take(x, places, axis % len(x.shape))
        own = ops.stop_gradient(ops.max(part, axis, keepdims=True))
        new = own if top is None else ops.maximum(top, own)
        added = ops.sum(ops.exp(part - new), axis, keepdims=True)
        total = added if top is None else total * ops.exp(top - new) + added
        top = new
    return ops.exp(x - top) / total


def _of(op: str, name: str, make: Any, level: str = "operations") -> Mutant:
    return Mutant(id=f"{op}.{name}", level=level, make=make)


_MANDATORY: Mapping[str, tuple[str, Callable[..., Any]]] = MappingProxyType(
    {
        "exp": ("infinite_early", infinite_early),
        "astype": ("cut_off", cut_off),
        "stop_gradient": ("without_booleans", without_booleans),
        "random_uniform": ("few_digits", draws_of_few_digits),
    }
)
_OPTIONAL: Mapping[str, tuple[str, Callable[..., Any]]] = MappingProxyType(
    {
        "dropout": ("by_product", dropped_by_product),
        "softmax": ("shares_of_nothing", shares_of_nothing),
        "layer_norm": ("by_squares_where_far", by_squares_where_far),
        "rms_norm": ("bounded_power", bounded_power),
    }
)
MUTANTS = (
    *(_of(op, name, mandatory(op, broken)) for op, (name, broken) in _MANDATORY.items()),
    *(_of(op, name, optional(op, broken)) for op, (name, broken) in _OPTIONAL.items()),
    _of("softmax", "without_floor", optional("softmax", softmax_without_floor)),
    _of("asarray", "bytes_as_they_lie", mandatory("asarray", bytes_as_they_lie)),
    _of("asarray", "without_sign_of_zero", mandatory("asarray", without_sign_of_zero)),
    _of("cross_entropy", "picked_by_product", optional("cross_entropy", picked_by_product)),
    _of("cross_entropy", "bounded_smoothing", optional("cross_entropy", bounded_smoothing)),
    _of("matmul", "crossed_axes", mandatory("matmul", crossed_axes)),
    _of("matmul", "first_of_five_axes", mandatory("matmul", first_of_five_axes)),
    _of("linear", "half_a_difference", optional("linear", half_a_difference), "gradients"),
    _of("maximum", "none_of_heads", mandatory("maximum", none_of_heads), "gradients"),
    _of("take_rows", "each_once", optional("take_rows", each_row_once), "gradients"),
    _of(
        "value_and_grad",
        "shared_places",
        Replacement(frozenset({"value_and_grad"}), _shared_places),
        "gradients",
    ),
    _of("adam_update", "decays_of_eight", optional("adam_update", decays_of_eight), "training"),
    _of("adam_update", "moments_by_shape", optional("adam_update", moments_by_shape), "training"),
    _of("adam_update", "idle_when_late", optional("adam_update", idle_when_late), "training"),
)
