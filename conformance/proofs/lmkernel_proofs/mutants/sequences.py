"""Backends whose calls are right alone: compiled code, threads, generators, repetition."""

from __future__ import annotations

import functools
import itertools
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.contract.capabilities import Capabilities
from lmkernel.contract.trees import tree_map
from lmkernel_proofs.mutants.mutant import Mutant, mandatory, optional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmkernel.backend import Backend

__all__ = ["MUTANTS"]


def _shapes(args: Any) -> Any:
    if isinstance(args, dict):
        return tuple(_shapes(args[name]) for name in args)
    if isinstance(args, (list, tuple)):
        return tuple(map(_shapes, args))
    return getattr(args, "shape", args)


def compile_by_shape(ops: Any, f: Any, **options: Any) -> Any:
    """Compiled code is found by shapes alone, and computes in the dtypes of its first call."""
    compiled, known = ops.compile(f, **options), dict[Any, Any]()

    def call(*args: Any) -> Any:
        first = known.setdefault(_shapes(args), args)
        if len(_leaves(first)) != len(_leaves(args)):
            return compiled(*args)
        kinds = iter([ops.dtype(x) for x in _leaves(first) if hasattr(x, "shape")])
        return compiled(
            *tree_map(lambda x: ops.astype(x, next(kinds)) if hasattr(x, "shape") else x, args)
        )

    return call


def _leaves(tree: Any) -> list[Any]:
    found: list[Any] = []
    tree_map(found.append, tree)
    return found


def compile_by_position(ops: Any, f: Any, **options: Any) -> Any:
    """A dictionary's leaves are paired with the keys of the first call by position."""
    compiled, known = ops.compile(f, **options), dict[Any, Any]()

    def call(*args: Any) -> Any:
        first = known.setdefault(_shapes(args), args)
        return compiled(*(_rename(x, y) for x, y in zip(args, first, strict=True)))

    return call


def _rename(tree: Any, like: Any) -> Any:
    if isinstance(tree, dict) and isinstance(like, dict) and set(tree) == set(like):
        return {name: _rename(x, like[name]) for name, x in zip(like, tree.values(), strict=True)}
    return tree


def compile_by_equality(ops: Any, f: Any, *, donate: Any = (), static: Any = ()) -> Any:
    """Static arguments are looked up by equality, so that True finds what 1 has left."""
    compiled, known = ops.compile(f, donate=donate, static=static), dict[Any, Any]()

    def call(*args: Any) -> Any:
        return compiled(
            *(known.setdefault((i, x), x) if i in static else x for i, x in enumerate(args))
        )

    return call


def compile_by_code(known: dict[Any, Any], ops: Any, f: Any, **options: Any) -> Any:
    """Functions of one code are taken for one, whatever they close over."""
    code = getattr(f, "__code__", None)
    return ops.compile(f if code is None else known.setdefault((id(ops), code), f), **options)


def wide_in_main_thread(ops: Any, value: Any, dtype: Any, *, copy: bool = True) -> Any:
    """64-bit types are on in the main thread alone."""
    if dtype == "float64" and threading.current_thread() is not threading.main_thread():
        value = np.asarray(value, np.float32)
    return ops.asarray(value, dtype, copy=copy)


def seed_globally(ops: Any, key: Any, shape: Any, dtype: Any) -> Any:
    """NumPy's own generator is seeded with the key."""
    high, low = (int(word) for word in key)
    np.random.seed((high * 1_000_003 + low) % 2**32)  # noqa: NPY002 - the defect
    return ops.asarray(np.random.random_sample(tuple(shape)), dtype)  # noqa: NPY002 - the defect


def short_period(ops: Any, key: Any, shape: Any, dtype: Any) -> Any:
    """After 1,024 draws they come again."""
    count, period = int(np.prod(shape)), 1024
    first = ops.to_numpy(ops.random_uniform(key, (period,), dtype))
    return ops.asarray(np.resize(first, count).reshape(tuple(shape)), dtype)


def shifted_streams(ops: Any, key: Any, shape: Any, dtype: Any) -> Any:
    """The second word of a key shifts the stream of the first, by up to 64 draws."""
    count, shift = int(np.prod(shape)), int(key[1]) % 64
    rest = ops.asarray((int(key[0]), int(key[1]) // 64), "int32")
    whole = ops.to_numpy(ops.random_uniform(rest, (count + 64,), dtype))
    return ops.asarray(whole[shift : shift + count].reshape(tuple(shape)), dtype)


def equal_rows(ops: Any, x: Any, key: Any, rate: float) -> Any:
    """One mask serves all rows."""
    if len(x.shape) < 2:  # noqa: PLR2004 - rows and columns
        return ops.dropout(x, key, rate)
    ones = ops.full((1, *x.shape[1:]), 1.0, ops.dtype(x))
    return x * ops.dropout(ones, key, rate)


def coarse_rate(ops: Any, x: Any, key: Any, rate: float) -> Any:
    """Rates are counted in 64ths, the scale is not."""
    draws = ops.random_uniform(key, x.shape, ops.dtype(x))
    kept = draws >= ops.full((), round(rate * 64) / 64, ops.dtype(x))
    zero = ops.full((), 0.0, ops.dtype(x))
    return ops.where(kept, x / ops.full((), 1.0 - rate, ops.dtype(x)), zero)


def unsteady_linear(
    calls: Iterator[int], ops: Any, x: Any, weight: Any, bias: Any = None, delta: Any = None
) -> Any:
    """Every other call adds up the second half first, as threads do that race."""
    half = x.shape[-1] // 2
    plain = isinstance(weight, np.ndarray) and delta is None and half > 0
    if not plain or next(calls) % 2:
        return ops.linear(x, weight, bias, delta)
    y = ops.linear(x[..., half:], weight[:, half:]) + ops.linear(x[..., :half], weight[:, :half])
    return y if bias is None else y + bias


def _declaring(*properties: str) -> Callable[[Backend], Backend]:
    """A backend that declares what it can't keep."""
    declared = Capabilities(bitwise={"cpu": ("runs", *properties)})
    return lambda backend: replace(backend, capabilities=declared)


def _of(op: str, name: str, broken: Any, row: int = 0, level: str = "operations") -> Mutant:
    return Mutant(id=f"{op}.{name}", level=level, make=mandatory(op, broken), row=row)


def _optional(op: str, name: str, broken: Any) -> Mutant:
    return Mutant(id=f"{op}.{name}", level="operations", make=optional(op, broken))


MUTANTS = (
    _of("compile", "by_shape", compile_by_shape, 28),
    _of("compile", "by_position", compile_by_position, 28),
    _of("compile", "by_equality", compile_by_equality, 28),
    _of("compile", "by_code", functools.partial(compile_by_code, {}), 28),
    _of("asarray", "wide_in_main_thread", wide_in_main_thread),
    _of("random_uniform", "seeds_globally", seed_globally, 30),
    _of("random_uniform", "short_period", short_period, 30),
    _of("random_uniform", "shifted", shifted_streams, 30),
    _optional("dropout", "equal_rows", equal_rows),
    _optional("dropout", "coarse_rate", coarse_rate),
    Mutant(
        id="linear.unsteady",
        level="determinism",
        make=optional("linear", functools.partial(unsteady_linear, itertools.count())),
        higher="laws that compare the bits of one model see it too; its own cases name it",
    ),
    Mutant(id="batch.declared", level="determinism", make=_declaring("batch")),
    Mutant(id="decoding.declared", level="determinism", make=_declaring("decoding")),
)
