"""MLX's own forms of optional operations, where they are faster and as exact.

Constraints: `mx.softmax` and all of `mx.fast` compute float64 in float32, so float64 keeps the
composition. `mx.fast.rope` computes RoPE's angles itself, so it can't take the contract's.
"""

from __future__ import annotations

import functools
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from lmkernel_mlx.packing import linear, pack_linear, take_rows, unpack_bits, unpack_linear

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["overrides"]


def softmax(x: Array, axis: int = -1) -> Array:
    """Softmax that accumulates in float32, whatever the dtype."""
    return mx.softmax(x, axis, precise=True)


def layer_norm(x: Array, weight: Array, bias: Array | None, eps: float) -> Array:
    """Layer norm over the last axis."""
    return mx.fast.layer_norm(x, weight, bias, eps)


def rms_norm(x: Array, weight: Array, eps: float) -> Array:
    """RMS norm over the last axis."""
    return mx.fast.rms_norm(x, weight, eps)


_ANY: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "pack_linear": pack_linear,
        "unpack_linear": unpack_linear,
        "linear": linear,
        "take_rows": take_rows,
        "unpack_bits": unpack_bits,
        "remat": mx.checkpoint,
    }
)
_NARROW: Mapping[str, Callable[..., Array]] = MappingProxyType(
    {"softmax": softmax, "layer_norm": layer_norm, "rms_norm": rms_norm}
)
"""Overrides that are exact in float32 and below."""


def overrides(composed: Ops) -> dict[str, Callable[..., Any]]:
    """The overrides by name.

    Args:
        composed: operations without overrides, which float64 falls back to.
    """
    chosen = {
        name: functools.partial(_by_dtype, own, getattr(composed, name))
        for name, own in _NARROW.items()
    }
    return {**_ANY, **chosen}


def _by_dtype(
    own: Callable[..., Array], composed: Callable[..., Array], x: Array, *rest: Any, **options: Any
) -> Array:
    return (composed if x.dtype == mx.float64 else own)(x, *rest, **options)
