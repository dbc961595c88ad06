"""The head: from the last hidden vectors to logits, or to whatever the model predicts.

pool → norm(act(W·x + b)) → dropout → product → scale → bound → activation, each but the product if
configured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.components.attention_pool import attention_pool, declare_pool
from lmkernel.components.primitives import (
    NEVER,
    activate,
    apply_dropout,
    declare_linear,
    declare_norm,
    normalize,
    scale,
)
from lmkernel.errors import InputError
from lmkernel.interfaces import Init, ParamTree, project

if TYPE_CHECKING:
    from lmkernel.config import HeadConfig
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["declare_head", "first_of_each_row", "head"]

_INIT = Init("normal", 0.02)
_SITE = (1 << 15) - 1
"""The head's dropout site, past those of any stack of layers."""


def declare_head(config: HeadConfig) -> ParamTree:
    """``{"weight" (size, width)?, "bias" (size,)?, "pool"?, "transform"?, "norm"?}``.

    A tied head, or one without a product, has no weight of its own; ``transform`` is
    ``(width, width)`` and its bias, or of the number of rows that is configured, which is then what
    the weight has columns.
    """
    tree = declare_linear(
        config.size, config.inner, ("vocab", "embed"), bias=config.bias, init=_INIT
    )
    if config.tied or not config.product:
        tree.pop("weight")
    if config.pool is not None:
        tree["pool"] = declare_pool(config.width, config.pool)
    if (t := config.transform) is not None:
        square = declare_linear(
            config.inner, config.width, ("embed", "embed"), bias=t.bias, init=_INIT
        )
        tree["transform"] = square
        if t.norm is not None:
            tree["norm"] = declare_norm(config.inner, t.norm)
    return tree


def head(
    ops: Ops,
    x: Array,
    params: dict[str, Any],
    config: HeadConfig,
    weight: Array,
    *,
    positions: Array,
    tokens: Array | None = None,
    key: Array | None = None,
) -> Array:
    """``(batch, time, width) -> (batch, time, size)``, or ``(batch, size)`` where it pools.

    Args:
        ops: the backend's operations.
        x: the last hidden vectors.
        params: as declared.
        config: the head's configuration.
        weight: the head's own, the embedding's where they are tied, or None without a product.
        positions: int32 ``(batch, time)``, -1 at padding.
        tokens: int32 ``(batch, time)``, the ids that the vectors were made of; for a head of which
            they say what it pools.
        key: int32 ``(2,)`` for dropout, in training.
    """
    if config.pooling == "first":
        x = first_of_each_row(ops, x, positions)
    elif config.by_token:
        x = _chosen(ops, x, ops.argmax(_weights(ops, config, _given(tokens), positions), 1))
    elif config.pooling == "last":
        x = last_of_each_row(ops, x, positions)
    elif config.pool is not None:
        x = attention_pool(ops, x, params["pool"], config.pool, positions)
    elif config.pooling == "first_and_mean":
        x = ops.concat([x[:, 0], ops.mean(x[:, 1:], 1)], -1)
    elif config.pooling == "mean":
        x = mean_of_each_row(ops, x, positions)
    if (t := config.transform) is not None:
        x = activate(ops, project(ops, x, params["transform"]), t.activation)
        x = x if t.norm is None else normalize(ops, x, params["norm"], t.norm)
    y = apply_dropout(ops, x, config.dropout, key, _SITE)
    y = ops.linear(y, weight, params.get("bias")) if config.product else y
    y = scale(ops, y, config.scale)
    if config.softcap is not None:
        cap = ops.full((), config.softcap, ops.dtype(y))
        y = ops.tanh(y / cap) * cap
    y = activate(ops, y, config.activation)
    return y if config.blank is None else _blank_at_padding(ops, y, config.blank, positions)


def _blank_at_padding(ops: Ops, y: Array, blank: int, positions: Array) -> Array:
    """Scores ``(batch, time, size)`` by which padding says nothing, for certain.

    So whatever reads or compares them needs no lengths.
    """
    row = np.full(y.shape[-1], NEVER)
    row[blank] = 0.0
    certain = ops.reshape(ops.asarray(row, ops.dtype(y)), (1, 1, y.shape[-1]))
    padding = ops.reshape(positions < ops.full((), 0, "int32"), (*positions.shape, 1))
    return ops.where(padding, certain, y)


def first_of_each_row(ops: Ops, x: Array, positions: Array) -> Array:
    """The vector at the first real position: ``(batch, time, width) -> (batch, width)``.

    A row of nothing but padding gives its first.
    """
    real = ops.astype(positions >= ops.full((), 0, "int32"), "int32")
    return _chosen(ops, x, ops.argmax(real, 1))


def last_of_each_row(ops: Ops, x: Array, positions: Array) -> Array:
    """The vector at the last real position: ``(batch, time, width) -> (batch, width)``."""
    return _chosen(ops, x, ops.argmax(positions, 1))


def _given(tokens: Array | None) -> Array:
    if tokens is None:
        raise InputError("expected ids of tokens, which say what the head pools, got none")
    return tokens


def _weights(ops: Ops, config: HeadConfig, tokens: Array, positions: Array) -> Array:
    """Numbers ``(batch, time)`` whose first largest is the position that tokens say."""
    nothing, padding = ops.full((), 0, "int32"), ops.full((), -1, "int32")
    if config.pooling == "highest":
        return ops.where(positions >= nothing, tokens, padding)
    if config.pooling == "token":
        there = tokens == _id(ops, config.token)
        return ops.where(positions >= nothing, ops.astype(there, "int32"), padding)
    # one that is passed over counts as little as a first position, and more than padding
    least = ops.minimum(positions, nothing)
    return ops.where(tokens == _id(ops, config.skipped), least, positions)


def _id(ops: Ops, token: int | None) -> Array:
    return ops.full((), -1 if token is None else token, "int32")


def mean_of_each_row(ops: Ops, x: Array, positions: Array) -> Array:
    """The mean of the vectors at real positions: ``(batch, time, width) -> (batch, width)``."""
    real = positions >= ops.full((), 0, "int32")
    weights = ops.reshape(ops.astype(real, ops.dtype(x)), (*x.shape[:2], 1))
    count = ops.maximum(ops.sum(weights, 1), ops.full((), 1.0, ops.dtype(x)))
    return ops.sum(x * weights, 1) / count


def _chosen(ops: Ops, x: Array, index: Array) -> Array:
    """The vector at one position of each row, ``index (batch,)``."""
    batch, time, _ = x.shape
    # `take` has the same indices for every row, so one position a row is a masked sum
    chosen = ops.reshape(index, (batch, 1, 1)) == ops.reshape(
        ops.arange(0, time, "int32"), (1, time, 1)
    )
    return ops.sum(ops.where(chosen, x, ops.full((), 0.0, ops.dtype(x))), 1)
