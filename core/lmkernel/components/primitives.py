"""What several components share: declarations, normalisation, activation, dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.contract.capabilities import WIDE
from lmkernel.interfaces import Init, Param, ParamTree

if TYPE_CHECKING:
    from lmkernel.config import MlpConfig, NormConfig
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = [
    "NEVER",
    "activate",
    "apply_dropout",
    "declare_linear",
    "declare_norm",
    "gate",
    "nonlinearity",
    "normalize",
    "scale",
]

NEVER = -1e20
"""The logarithm of a probability of nothing: finite, so that no gradient is NaN."""
_GLOROT = Init("glorot_uniform")


def declare_linear(
    out: int,
    into: int,
    axes: tuple[str, str],
    *,
    bias: bool,
    fuse: str = "",
    init: Init = _GLOROT,
) -> ParamTree:
    """A linear layer's ``{"weight" (out, in), "bias" (out,)?}``."""
    tree = {"weight": Param((out, into), init, axes, linear=True, fuse=fuse)}
    if bias:
        tree["bias"] = Param((out,), Init("zeros"), axes[:1], fuse=fuse)
    return tree


def declare_norm(width: int, config: NormConfig) -> ParamTree:
    """A normalisation's ``{"weight" (width,), "bias" (width,)?}``."""
    init = Init("zeros") if config.offset else Init("ones")
    tree = {"weight": Param((width,), init, ("embed",))}
    if config.kind == "layer" and config.bias:
        tree["bias"] = Param((width,), Init("zeros"), ("embed",))
    return tree


def normalize(ops: Ops, x: Array, params: dict[str, Any], config: NormConfig) -> Array:
    """``x (…, width)`` normalised over its last axis."""
    weight = params["weight"]
    if config.offset:
        weight = weight + ops.full((), config.offset, ops.dtype(weight))
    if config.kind == "rms":
        return ops.rms_norm(x, weight, config.eps)
    return ops.layer_norm(x, weight, params.get("bias"), config.eps)


def scale(ops: Ops, x: Array, factor: float) -> Array:
    """``x`` times a factor, in float32 or wider: 16 bits would round the factor first."""
    if factor == 1:
        return x
    narrow = ops.dtype(x)
    wide = WIDE.get(narrow, narrow)
    return ops.astype(ops.astype(x, wide) * ops.full((), factor, wide), narrow)


def activate(ops: Ops, x: Array, name: str) -> Array:
    """One of `lmkernel.config.ACTIVATIONS`, element-wise or over the last axis."""
    return x if name == "none" else getattr(ops, name)(x)


def nonlinearity(ops: Ops, x: Array, config: MlpConfig) -> Array:
    """The activation of a network; with a slope, x · sigmoid(slope · x)."""
    if config.slope == 1:
        return activate(ops, x, config.activation)
    return x * ops.sigmoid(scale(ops, x, config.slope))


def gate(ops: Ops, gates: Array, x: Array, config: MlpConfig) -> Array:
    """``x`` times its activated gates, each bounded where the network says so."""
    if config.plain:
        return activate(ops, gates, config.activation) * x

    def number(value: float) -> Array:
        return ops.full((), value, ops.dtype(x))

    if config.limit:
        gates = ops.minimum(gates, number(config.limit))
        x = ops.maximum(ops.minimum(x, number(config.limit)), number(-config.limit))
    return nonlinearity(ops, gates, config) * (x + number(config.shift))


def apply_dropout(ops: Ops, x: Array, rate: float, key: Array | None, site: int) -> Array:
    """Dropout, in training alone: without a key, ``x`` as it is.

    Args:
        ops: the backend's operations.
        x: any shape.
        rate: the share of elements to drop.
        key: int32 ``(2,)`` of the micro-batch, or None.
        site: the number of this place in the model, which gives it draws of its own.
    """
    if key is None or rate == 0:
        return x
    return ops.dropout(x, key + ops.asarray([0, site], "int32"), rate)
