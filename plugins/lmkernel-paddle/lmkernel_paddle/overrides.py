"""Optional operations for which Paddle has something faster than the composition."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import paddle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.mandatory import Array

__all__ = ["overrides"]


def overrides() -> Mapping[str, Callable[..., Any]]:
    """The operations by name."""
    return MappingProxyType({"linear": _linear})


def _linear(
    x: Array, weight: Array, bias: Array | None = None, delta: tuple[Array, Array] | None = None
) -> Array:
    """``x (…, in)`` times the transpose of ``weight (out, in)``, which is not copied for it."""
    flat = paddle.reshape(x, (-1, x.shape[-1]))
    result = paddle.matmul(flat, weight, transpose_y=True)
    if delta is not None:
        a, b = delta
        low = paddle.matmul(flat, a, transpose_y=True)
        result = result + paddle.matmul(low, b, transpose_y=True)
    result = paddle.reshape(result, (*x.shape[:-1], weight.shape[0]))
    return result if bias is None else result + bias
