"""Means and normalisations over the last axis; 16-bit inputs are normalised in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.composed.precision import accumulated, constant

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["layer_norm", "mean", "rms_norm"]


@accumulated
def mean(ops: Ops, x: Array, axis: int, *, keepdims: bool = False) -> Array:
    """Sum divided by extent."""
    return ops.sum(x, axis, keepdims=keepdims) / constant(ops, x.shape[axis], x)


@accumulated
def layer_norm(ops: Ops, x: Array, weight: Array, bias: Array | None, eps: float) -> Array:
    """Centred first, so that a large mean does not cancel away the variance."""
    centred = x - ops.mean(x, -1, keepdims=True)
    variance = ops.mean(centred * centred, -1, keepdims=True)
    scaled = centred / ops.sqrt(variance + constant(ops, eps, x))
    y = scaled * ops.astype(weight, ops.dtype(x))
    return y if bias is None else y + ops.astype(bias, ops.dtype(x))


@accumulated
def rms_norm(ops: Ops, x: Array, weight: Array, eps: float) -> Array:
    """X / sqrt(mean(x²) + eps) · weight."""
    power = ops.mean(x * x, -1, keepdims=True)
    scaled = x / ops.sqrt(power + constant(ops, eps, x))
    return scaled * ops.astype(weight, ops.dtype(x))
