"""Honest variants: backends that compute each formula in another way, as correct kernels do.

They are to budgets what mutants are to cases. A budget that refuses one of them is too tight: it
holds for one implementation, not for the formula.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.composed import assemble
from lmkernel.composed.precision import constant
from lmkernel_proofs.mutants.mutant import mandatory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.backend import Backend

__all__ = ["VARIANTS", "Variant"]

_LANES, _PARTS, _BLOCK = 4, 3, 3


@final
@dataclass(frozen=True, kw_only=True)
class Variant:
    """A correct backend.

    Args:
        id: unique readable name.
        seen: where kernels compute in this way.
        make: function that derives it from the reference backend.
    """

    id: str
    seen: str
    make: Callable[[Backend], Backend]


# element-wise functions


def exp_by_two(ops: Any, x: Any) -> Any:
    """2^(x·log₂e); the product rounds."""
    return _exp2(ops, x * constant(ops, math.log2(math.e), x))


def _exp2(ops: Any, x: Any) -> Any:
    """2^x; NumPy's exp is exact enough in float64, and float64 itself takes the detour."""
    return ops.exp(x * constant(ops, math.log(2), x))


def root_by_reciprocal(ops: Any, x: Any) -> Any:
    """X · (1 / √x), as from a reciprocal square root; zero and infinity are their own roots."""
    own = (x == constant(ops, 0.0, x)) | (x == constant(ops, math.inf, x))
    safe = ops.where(own, constant(ops, 1.0, x), x)
    return ops.where(own, x, safe * (constant(ops, 1.0, x) / ops.sqrt(safe)))


def off_by_two_units(name: str, ops: Any, x: Any) -> Any:
    """A function of a library that is off by two units in the last place, up or down."""
    y = getattr(ops, name)(x)
    eps = float(np.finfo(ops.dtype(x)).eps)
    signs = np.resize([1.0, -1.0, -1.0, 1.0, 1.0], y.shape)
    return y * ops.asarray(1 + eps * signs, ops.dtype(y))


# sums and products


def sum_by_lanes(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """Every fourth element is added in a lane of its own, as vector units do."""
    axis %= len(x.shape)
    if x.shape[axis] < _LANES or ops.dtype(x) == "int32":
        return ops.sum(x, axis, keepdims=keepdims)
    extent = x.shape[axis]
    lanes = [ops.take(x, _indices(ops, i, extent, _LANES), axis) for i in range(_LANES)]
    sums = [ops.sum(lane, axis, keepdims=keepdims) for lane in lanes]
    return (sums[0] + sums[2]) + (sums[1] + sums[3])


def sum_from_the_end(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """One by one, from the last to the first."""
    axis %= len(x.shape)
    extent = x.shape[axis]
    if extent < 2 or ops.dtype(x) == "int32":  # noqa: PLR2004 - there is no order
        return ops.sum(x, axis, keepdims=keepdims)
    each = [ops.take(x, _indices(ops, i, i + 1), axis) for i in reversed(range(extent))]
    total = functools.reduce(lambda a, b: a + b, each)
    return total if keepdims else ops.sum(total, axis)


def product_by_parts(ops: Any, x: Any, y: Any) -> Any:
    """The inner axis is cut in parts, whose products are added (split-K)."""
    inner = x.shape[-1]
    if inner < _PARTS:
        return ops.matmul(x, y)
    cuts = [round(i * inner / _PARTS) for i in range(_PARTS + 1)]
    spans = [_indices(ops, a, b) for a, b in itertools.pairwise(cuts)]
    parts = [ops.matmul(ops.take(x, i, -1), ops.take(y, i, len(y.shape) - 2)) for i in spans]
    return functools.reduce(lambda a, b: a + b, parts)


def product_in_float64(ops: Any, x: Any, y: Any) -> Any:
    """Products and sums round once, at the end, as fused multiply-adds nearly do."""
    wide = ops.matmul(ops.astype(x, "float64"), ops.astype(y, "float64"))
    return ops.astype(wide, ops.dtype(x))


def _indices(ops: Any, start: int, stop: int, step: int = 1) -> Any:
    return ops.asarray(np.arange(start, stop, step), "int32")


# softmax and losses


def softmax_online(ops: Any, x: Any, axis: int = -1) -> Any:
    """Block by block with a running maximum; what was summed is rescaled (arXiv:1805.02867).

    The maximum begins with the lowest number: that of a block of nothing but -∞ would leave NaN.
    """
    extent = x.shape[axis]
    blocks = [range(i, min(i + _BLOCK, extent)) for i in range(0, extent, _BLOCK)]
    total = None
    top = constant(ops, float(np.finfo(ops.dtype(x)).min), x)
    for block in blocks:
        part = ops.take(x, _indices(ops, block.start, block.stop), axis % len(x.shape))
        own = ops.stop_gradient(ops.max(part, axis, keepdims=True))
        new = ops.maximum(top, own)
        added = ops.sum(ops.exp(part - new), axis, keepdims=True)
        total = added if total is None else total * ops.exp(top - new) + added
        top = new
    return ops.exp(x - top) * (constant(ops, 1.0, x) / total)


def softmax_by_logarithm(ops: Any, x: Any, axis: int = -1) -> Any:
    """exp(x - max - log Σ), from the logarithm of the sum that a backward pass keeps."""
    return ops.exp(log_softmax_at_once(ops, x, axis))


def log_softmax_at_once(ops: Any, x: Any, axis: int = -1) -> Any:
    """X - max - log Σ exp(x - max)."""
    shifted = x - ops.stop_gradient(ops.max(x, axis, keepdims=True))
    return shifted - ops.log(ops.sum(ops.exp(shifted), axis, keepdims=True))


def log_softmax_beside_logits(ops: Any, x: Any, axis: int = -1) -> Any:
    """X - (max + log Σ exp(x - max)): it loses digits where logits are large."""
    top = ops.stop_gradient(ops.max(x, axis, keepdims=True))
    return x - (top + ops.log(ops.sum(ops.exp(x - top), axis, keepdims=True)))


# norms


def layer_norm_by_reciprocal(ops: Any, x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """The centred input times a reciprocal root times the weight, which come first."""
    centred = x - ops.mean(x, -1, keepdims=True)
    variance = ops.mean(centred * centred, -1, keepdims=True)
    y = centred * ((constant(ops, 1.0, x) / ops.sqrt(variance + constant(ops, eps, x))) * weight)
    return y if bias is None else y + bias


def rms_norm_by_reciprocal(ops: Any, x: Any, weight: Any, eps: float) -> Any:
    """The same without a mean."""
    power = ops.mean(x * x, -1, keepdims=True)
    return x * ((constant(ops, 1.0, x) / ops.sqrt(power + constant(ops, eps, x))) * weight)


def layer_norm_of_welford(ops: Any, x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """Mean and variance in one pass (Welford 1962)."""
    mean = ops.take(x, _indices(ops, 0, 1), -1)
    spread = mean - mean
    for i in range(1, x.shape[-1]):
        one = ops.take(x, _indices(ops, i, i + 1), -1)
        before = one - mean
        mean = mean + before * constant(ops, 1 / (i + 1), x)
        spread = spread + before * (one - mean)
    variance = spread * constant(ops, 1 / x.shape[-1], x)
    y = (x - mean) * (constant(ops, 1.0, x) / ops.sqrt(variance + constant(ops, eps, x))) * weight
    return y if bias is None else y + bias


def _variant(
    name: str,
    seen: str,
    *,
    basic: Mapping[str, Callable[..., Any]] | None = None,
    optional: Mapping[str, Callable[..., Any]] | None = None,
    overrides: bool = False,
) -> Variant:
    """A variant of some mandatory operations and some optional ones, else of compositions."""

    def make(backend: Backend) -> Backend:
        kept: dict[str, Any] = dict(backend.ops.overridden) if overrides else {}
        plain = replace(backend, ops=assemble(backend.ops, kept))
        own = {n: functools.partial(f, plain.ops) for n, f in (optional or {}).items()}
        found = replace(plain, ops=assemble(plain.ops, {**kept, **own}))
        for n, f in (basic or {}).items():
            found = mandatory(n, f)(found)
        return found

    return Variant(id=name, seen=seen, make=make)


_FUNCTIONS = ("exp", "log", "sqrt", "cos", "sin", "tanh", "sigmoid", "erf")

VARIANTS = (
    _variant("composed", "a new backend: no override at all"),
    _variant("exp.by_two", "fused attention on GPUs", basic={"exp": exp_by_two}),
    _variant(
        "functions.off_by_two_units",
        "vector libraries of functions",
        basic={n: functools.partial(off_by_two_units, n) for n in _FUNCTIONS},
        overrides=True,
    ),
    _variant("sqrt.by_reciprocal", "rsqrt instructions", basic={"sqrt": root_by_reciprocal}),
    _variant("sum.lanes", "vector units", basic={"sum": sum_by_lanes}),
    _variant("sum.from_the_end", "a loop", basic={"sum": sum_from_the_end}),
    _variant("matmul.parts", "split-K", basic={"matmul": product_by_parts}),
    _variant("matmul.fused", "fused multiply-adds", basic={"matmul": product_in_float64}),
    _variant(
        "softmax.online",
        "flash attention",
        optional={"softmax": softmax_online},
    ),
    _variant(
        "softmax.by_logarithm",
        "flash attention's backward pass",
        optional={"softmax": softmax_by_logarithm, "log_softmax": log_softmax_at_once},
    ),
    _variant(
        "norms.by_reciprocal",
        "fused norms",
        optional={"layer_norm": layer_norm_by_reciprocal, "rms_norm": rms_norm_by_reciprocal},
    ),
    _variant(
        "layer_norm.welford", "one-pass norms", optional={"layer_norm": layer_norm_of_welford}
    ),
)
