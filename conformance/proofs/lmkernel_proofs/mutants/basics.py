"""Broken mandatory operations: precision, gradients, loops, compilation, random numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lmkernel.contract.trees import tree_map
from lmkernel_proofs.mutants.mutant import Mutant, mandatory

__all__ = ["MUTANTS"]


def through_float32(ops: Any, x: Any) -> Any:
    """Round float64 to float32 and bring it back."""
    kind = ops.dtype(x)
    return ops.astype(ops.astype(x, "float32"), kind) if kind == "float64" else x


def asarray_float32(ops: Any, value: Any, dtype: Any, *, copy: bool = True) -> Any:
    """Host arrays of float64 are rounded to float32 on the way."""
    return through_float32(ops, ops.asarray(value, dtype, copy=copy))


def full_float32(ops: Any, shape: Any, value: float, dtype: Any) -> Any:
    """A constant of float64 is rounded to float32, a framework's default dtype."""
    rounded = float(np.float32(value)) if dtype == "float64" else value
    return ops.full(shape, rounded, dtype)


def sum_float32(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """float64 is summed in float32."""
    return through_float32(ops, ops.sum(through_float32(ops, x), axis, keepdims=keepdims))


def matmul_float32(ops: Any, x: Any, y: Any) -> Any:
    """float64 is multiplied in float32."""
    return through_float32(ops, ops.matmul(through_float32(ops, x), through_float32(ops, y)))


def matmul_ten_bits(ops: Any, x: Any, y: Any) -> Any:
    """Factors are rounded to 16 bits first, as some hardware does by default."""
    parts = [ops.astype(ops.astype(z, "float16"), ops.dtype(z)) for z in (x, y)]
    return ops.matmul(*parts)


def erf_approximate(ops: Any, x: Any) -> Any:
    """Abramowitz & Stegun 7.1.26, good to 1.5e-7."""
    coefficients = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
    one = ops.full((), 1.0, ops.dtype(x))
    positive = ops.maximum(x, -x)
    t = one / (one + positive * ops.full((), 0.3275911, ops.dtype(x)))
    total = t * ops.full((), 0.0, ops.dtype(x))
    for c in coefficients:
        total = (total + ops.full((), c, ops.dtype(x))) * t
    y = one - total * ops.exp(-positive * positive)
    return ops.where(x >= ops.full((), 0.0, ops.dtype(x)), y, -y)


def sigmoid_naive(ops: Any, x: Any) -> Any:
    """exp(x) / (1 + exp(x)), which is ∞/∞ far out."""
    with np.errstate(over="ignore", invalid="ignore"):
        powers = ops.exp(x)
        return powers / (ops.full((), 1.0, ops.dtype(x)) + powers)


def argmax_last(ops: Any, x: Any, axis: int) -> Any:
    """Of several largest numbers the last one is taken."""
    host = np.flip(ops.to_numpy(x), axis)
    return ops.asarray(x.shape[axis] - 1 - np.argmax(host, axis), "int32")


def stop_nothing(ops: Any, x: Any) -> Any:
    """The gradient is let through."""
    del ops
    return x


def scan_forwards(ops: Any, f: Any, init: Any, xs: Any, *, reverse: bool = False) -> Any:
    """``reverse`` is ignored."""
    del reverse
    return ops.scan(f, init, xs)


def scan_in_step_order(ops: Any, f: Any, init: Any, xs: Any, *, reverse: bool = False) -> Any:
    """With ``reverse``, outputs come in the order of the steps rather than of the inputs."""
    carry, ys = ops.scan(f, init, xs, reverse=reverse)
    if not reverse:
        return carry, ys

    def flip(y: Any) -> Any:
        order = np.arange(y.shape[0])[::-1].copy()
        return ops.take(y, ops.asarray(order, "int32"), 0)

    return carry, tree_map(flip, ys)


def widen_gradients(ops: Any, f: Any, **options: Any) -> Any:
    """Gradients come in float64, whatever the dtype of the parameters."""
    own = ops.value_and_grad(f, **options)

    def value_and_gradient(tree: Any, *args: Any) -> Any:
        value, gradient = own(tree, *args)
        return value, tree_map(lambda g: ops.astype(g, "float64"), gradient)

    return value_and_gradient


def order_by_key(ops: Any, f: Any, **options: Any) -> Any:
    """Gradients of a dictionary are handed out in the order of its sorted keys."""
    own = ops.value_and_grad(f, **options)

    def value_and_gradient(tree: Any, *args: Any) -> Any:
        value, gradient = own(tree, *args)
        if isinstance(tree, dict):
            ordered = [gradient[key] for key in sorted(gradient)]
            gradient = dict(zip(tree, ordered, strict=True))
        return value, gradient

    return value_and_gradient


def fast_compile(ops: Any, f: Any, **options: Any) -> Any:
    """Compiled functions compute with relaxed precision."""
    compiled = ops.compile(f, **options)

    def relax(x: Any) -> Any:
        if ops.dtype(x) not in ("float32", "float64"):
            return x
        return x * ops.full((), 1 + 2e-6, ops.dtype(x))

    return lambda *args: tree_map(relax, compiled(*args))


def first_compile(ops: Any, f: Any, **options: Any) -> Any:
    """0-d arrays keep the values of the first call."""
    compiled = ops.compile(f, **options)
    kept: list[Any] = []

    def call_with_first(*args: Any) -> Any:
        kept.extend(args[len(kept) :])
        same = [
            k if getattr(a, "shape", None) == () else a for a, k in zip(args, kept, strict=True)
        ]
        return compiled(*same)

    return call_with_first


def half_key(ops: Any, key: Any, shape: Any, dtype: Any) -> Any:
    """The second half of the key is not used."""
    return ops.random_uniform(ops.concat([key[:1], key[:1]], 0), shape, dtype)


def closed_interval(ops: Any, key: Any, shape: Any, dtype: Any) -> Any:
    """Uniform in [0, 1.02)."""
    return ops.random_uniform(key, shape, dtype) * ops.full((), 1.02, dtype)


def drop_last_bit(ops: Any, value: Any, dtype: Any, *, copy: bool = True) -> Any:
    """The last bit of float32 is lost on the way to the device."""
    host = np.asarray(value)
    if dtype == "float32" and host.dtype == np.float32:
        host = (host.view(np.uint32) & np.uint32(0xFFFFFFFE)).view(np.float32)
    return ops.asarray(host, dtype, copy=copy)


def share_memory(ops: Any, value: Any, dtype: Any, *, copy: bool = True) -> Any:
    """Host memory is shared although the caller asks for a copy."""
    del copy
    return ops.asarray(value, dtype, copy=False)


def update_first(ops: Any, buffer: Any, values: Any, start: Any, axis: int) -> Any:
    """A start above two is off by one."""
    one, two = (ops.full((), n, "int32") for n in (1, 2))
    return ops.cache_update(buffer, values, ops.where(start > two, start - one, start), axis)


def cos_of_degrees(ops: Any, x: Any) -> Any:
    """The angle is reduced to one turn in float16, which loses its digits."""
    turn = ops.full((), 2 * math.pi, ops.dtype(x))
    whole = ops.astype(ops.astype(x / turn, "int32"), ops.dtype(x))
    return ops.cos(ops.astype(ops.astype(x - whole * turn, "float16"), ops.dtype(x)))


def _of(op: str, name: str, broken: Any, row: int = 0, seen: str = "", **more: Any) -> Mutant:
    level = more.get("level", "operations")
    return Mutant(
        id=f"{op}.{name}",
        level=level,
        make=mandatory(op, broken),
        row=row,
        seen=seen,
        higher=more.get("higher", ""),
    )


_EXAMPLES = "the tutorial's examples are whole formulas, which see it too; its own cases name it"


MUTANTS = (
    _of("asarray", "float64_by_float32", asarray_float32, 29, "keras#23225", higher=_EXAMPLES),
    _of("full", "float64_by_float32", full_float32, 29),
    _of("sum", "float64_by_float32", sum_float32, 29, "keras#23225", higher=_EXAMPLES),
    _of("matmul", "float64_by_float32", matmul_float32, 29, "keras#23225"),
    _of("matmul", "ten_bits", matmul_ten_bits),
    _of("erf", "approximate", erf_approximate),
    _of("sigmoid", "naive", sigmoid_naive),
    _of("argmax", "last", argmax_last),
    _of("stop_gradient", "ignored", stop_nothing, level="gradients"),
    _of("scan", "forwards", scan_forwards),
    _of("scan", "unordered", scan_in_step_order),
    _of("value_and_grad", "widened", widen_gradients, level="gradients"),
    _of("value_and_grad", "positional", order_by_key, level="gradients"),
    _of("compile", "relaxed", fast_compile, 28, "pytorch#189787"),
    _of("compile", "frozen", first_compile, 28),
    _of("random_uniform", "keyless", half_key),
    _of("random_uniform", "closed", closed_interval),
    _of("asarray", "last_bit", drop_last_bit, 30, "keras#18426", level="document"),
    _of("asarray", "shared", share_memory),
    _of("cache_update", "off_by_one", update_first, 25),
    _of("cos", "reduced", cos_of_degrees),
)
