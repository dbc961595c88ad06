"""Which function composes which optional operation."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.composed import activation, linear, loss, normalization

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["COMPOSED"]

COMPOSED: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "mean": normalization.mean,
        "softmax": activation.softmax,
        "log_softmax": activation.log_softmax,
        "linear": linear.linear,
        "relu": activation.relu,
        "silu": activation.silu,
        "gelu": activation.gelu,
        "gelu_tanh": activation.gelu_tanh,
        "layer_norm": normalization.layer_norm,
        "rms_norm": normalization.rms_norm,
        "mse": loss.mse,
        "soft_cross_entropy": loss.soft_cross_entropy,
    }
)
