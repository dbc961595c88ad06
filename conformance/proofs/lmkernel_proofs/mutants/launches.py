"""Backends whose launches and tiles take so many things, and lose or mix up the rest."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.composed.precision import constant
from lmkernel.contract.trees import tree_map
from lmkernel_proofs.mutants.mutant import Mutant, mandatory, optional

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MUTANTS"]

_ARRAYS, _TILE = 16, 64
_PERIOD = 1 << 17


def joined_in_launches(ops: Any, arrays: Any, axis: int) -> Any:
    """A launch joins sixteen arrays; those of the next one stay zero."""
    arrays = list(arrays)
    zeros = [x * constant(ops, 0, x) for x in arrays[_ARRAYS:] if ops.dtype(x) != "bool"]
    return ops.concat(arrays[:_ARRAYS] + (zeros or arrays[_ARRAYS:]), axis)


def largest_by_lanes(ops: Any, x: Any, axis: int) -> Any:
    """Eight lanes look for the largest; of lanes that tie, the first one's is taken."""
    host = np.moveaxis(ops.to_numpy(ops.stop_gradient(x)), axis, -1)
    length = host.shape[-1]
    if length <= _ARRAYS or not host.size or np.isnan(host).any():
        return ops.argmax(x, axis)
    order = np.argsort(np.arange(length) % 8, kind="stable")
    return ops.asarray(order[np.argmax(host[..., order], -1)], "int32")


def periodic_draws(ops: Any, key: Any, shape: Any, dtype: Any) -> Any:
    """A counter of seventeen bits: draws begin again behind it."""
    if math.prod(shape) <= _PERIOD:
        return ops.random_uniform(key, shape, dtype)
    flat = ops.to_numpy(ops.random_uniform(key, (_PERIOD,), dtype))
    return ops.asarray(np.resize(flat, tuple(shape)), dtype)


def heads_drop_alike(ops: Any, x: Any, key: Any, rate: float) -> Any:
    """Of four axes, the second one shares its draws."""
    if len(x.shape) < 4:  # noqa: PLR2004 - rows, heads, positions, elements
        return ops.dropout(x, key, rate)
    draws = ops.random_uniform(key, (x.shape[0], 1, *x.shape[2:]), "float32")
    kept = ops.broadcast_to(draws >= ops.full((), rate, "float32"), x.shape)
    return ops.where(kept, x / constant(ops, 1.0 - rate, x), constant(ops, 0.0, x))


def tile_of_ranks(ops: Any, x: Any, weight: Any, bias: Any = None, delta: Any = None) -> Any:
    """A tile holds 64 ranks of a low-rank addition; there is one tile."""
    if delta is not None:
        delta = (delta[0][:_TILE], delta[1][:, :_TILE])
    return ops.linear(x, weight, bias, delta)


def room_of_an_expert(ops: Any, x: Any, weight: Any, experts: Any) -> Any:
    """An expert has room for 64 rows; those that come later get zeros."""
    y = ops.expert_linear(x, weight, experts)
    chosen = ops.to_numpy(experts)
    rank = [int((chosen[:i] == one).sum()) for i, one in enumerate(chosen)]
    fits = ops.asarray(np.array(rank).reshape(-1, 1) < _TILE, "bool")
    return ops.where(fits, y, constant(ops, 0.0, y))


def maximum_of_first_classes(ops: Any, logits: Any, targets: Any, smoothing: float = 0.0) -> Any:
    """The maximum that is subtracted is that of the first 256 classes."""
    y = ops.cross_entropy(logits, targets, smoothing)
    if logits.shape[-1] <= 256:  # noqa: PLR2004 - a block
        return y
    top = ops.stop_gradient(ops.max(logits[..., :256], -1))
    over = ops.stop_gradient(ops.max(logits, -1)) - top > constant(ops, 88.0, logits)
    real = targets >= ops.full((), 0, "int32")
    return ops.where(over & real, constant(ops, math.inf, y), y)


def cut_backwards(ops: Any, f: Any, init: Any, xs: Any, *, reverse: bool = False) -> Any:
    """Gradients flow back through pieces of 64 steps, and not from one to the next."""
    lengths: list[int] = []
    tree_map(lambda x: lengths.append(x.shape[0]), xs)
    begins = list(range(0, lengths[0], _TILE))
    parts, carry = [], init
    for i, begin in enumerate(reversed(begins) if reverse else begins):
        some = tree_map(lambda x, b=begin: x[b : b + _TILE], xs)
        given = tree_map(ops.stop_gradient, carry) if i else carry
        carry, ys = ops.scan(f, given, some, reverse=reverse)
        parts.append(ys)
    ordered = parts[::-1] if reverse else parts
    return carry, tree_map(lambda *one: ops.concat(list(one), 0), *ordered)


def decays_of_a_launch(ops: Any, params: Any, *rest: Any, decays: Any, **options: Any) -> Any:
    """A launch takes 32 parameters; the next one begins with the first decay again."""
    own = [decays[i % 32] for i in range(len(decays))]
    return ops.adam_update(params, *rest, decays=own, **options)


def mean_without_momentum(
    ops: Any, params: Any, grads: Any, first: Any, *rest: Any, **options: Any
) -> Any:
    """Without momentum the gradient is used as it is, and its mean is not written."""
    old = [x * constant(ops, 1.0, x) for x in first]
    new, means, squares = ops.adam_update(params, grads, first, *rest, **options)
    return new, old if options["beta1"] == 0 else means, squares


_MANDATORY: Mapping[str, tuple[str, Any, str]] = MappingProxyType(
    {
        "concat": ("in_launches", joined_in_launches, "operations"),
        "argmax": ("by_lanes", largest_by_lanes, "operations"),
        "random_uniform": ("periodic", periodic_draws, "operations"),
        "scan": ("cut_backwards", cut_backwards, "gradients"),
    }
)
_OPTIONAL: Mapping[str, tuple[str, Any, str]] = MappingProxyType(
    {
        "dropout": ("heads_alike", heads_drop_alike, "operations"),
        "linear": ("tile_of_ranks", tile_of_ranks, "operations"),
        "expert_linear": ("room_of_64", room_of_an_expert, "operations"),
        "cross_entropy": ("maximum_of_first_classes", maximum_of_first_classes, "operations"),
    }
)
MUTANTS = (
    *(
        Mutant(id=f"{op}.{name}", level=level, make=mandatory(op, broken))
        for op, (name, broken, level) in _MANDATORY.items()
    ),
    *(
        Mutant(id=f"{op}.{name}", level=level, make=optional(op, broken))
        for op, (name, broken, level) in _OPTIONAL.items()
    ),
    *(
        Mutant(id=f"adam_update.{name}", level="training", make=optional("adam_update", broken))
        for name, broken in (
            ("decays_of_a_launch", decays_of_a_launch),
            ("mean_without_momentum", mean_without_momentum),
        )
    ),
)
