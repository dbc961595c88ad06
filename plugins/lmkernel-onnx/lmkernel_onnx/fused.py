"""Operations of which ONNX has a whole one, or that ONNX Runtime makes one of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_onnx.tracing import alone
from lmkernel_onnx.values import cast_to, node

if TYPE_CHECKING:
    from lmkernel_onnx.values import Value

__all__ = ["attention", "layer_norm", "rms_norm", "softmax"]

_HIDDEN = -1e30
"""The score of a slot that is not seen; its weight is set to zero afterwards."""
_INT = np.dtype(np.int32)


@alone(1)
def softmax(_: Any, x: Value, axis: int = -1) -> Value:
    """Softmax along an axis."""
    return node("Softmax", [x], x.dtype, x.shape, axis=axis)


@alone(3)
def layer_norm(_: Any, x: Value, weight: Any, bias: Any | None, eps: float) -> Value:
    """Layer norm over the last axis."""
    given = [x, weight, *([] if bias is None else [bias])]
    return node("LayerNormalization", given, x.dtype, x.shape, axis=-1, epsilon=eps)


@alone(2)
def rms_norm(_: Any, x: Value, weight: Any, eps: float) -> Value:
    """RMS norm over the last axis, in the operators that ONNX Runtime fuses."""
    square = node("Pow", [x, np.array(2, x.dtype)], x.dtype, x.shape)
    shape = (*x.shape[:-1], 1)
    mean = node("ReduceMean", [square, x.graph.sizes([-1])], x.dtype, shape, keepdims=1)
    root = node("Sqrt", [mean + eps], x.dtype, shape)
    scaled: Value = node("Div", [x, root], x.dtype, x.shape) * weight
    return scaled


def attention(
    queries: Any,
    keys: Any,
    values: Any,
    mask: Any | None,
    *,
    scale: float,
    bias: Any | None = None,
    softcap: float | None = None,
) -> Any:
    """Softmax attention; see `OptionalOps.attention`."""
    return _attention(None, queries, keys, values, mask, bias, scale=scale, softcap=softcap)


@alone(5, threads=None)
def _attention(
    _: Any,
    queries: Value,
    keys: Any,
    values: Any,
    mask: Any | None,
    bias: Any | None,
    *,
    scale: float,
    softcap: float | None,
) -> Value:
    batch, heads, time, width = queries.shape
    kv_heads, slots, dtype = keys.shape[1], keys.shape[2], queries.dtype
    if mask is not None:
        keys, values = (_clean(x, mask) for x in (keys, values))

    def reshaped(x: Value, shape: tuple[int, ...]) -> Value:
        return node("Reshape", [x, queries.graph.sizes(shape)], dtype, shape)

    # heads that share keys are rows of one product
    lead = (batch, kv_heads, heads // kv_heads * time)
    turned = (*keys.shape[:2], keys.shape[3], keys.shape[2])
    across = node("Transpose", [keys], dtype, turned, perm=[0, 1, 3, 2])
    products = node("MatMul", [reshaped(queries, (*lead, width)), across], dtype, (*lead, slots))
    scores = reshaped(products, (batch, heads, time, slots)) * scale
    if softcap is not None:
        scores = node("Tanh", [scores / softcap], dtype, scores.shape) * softcap
    if bias is not None:
        scores = scores + bias
    weights = softmax(None, scores if mask is None else _where(mask, scores, _HIDDEN))
    # a row that sees nothing has equal weights by now, and none after this
    weights = weights if mask is None else _where(mask, weights, 0.0)
    wide = values.shape[-1]
    found = node("MatMul", [reshaped(weights, (*lead, slots)), values], dtype, (*lead, wide))
    return reshaped(found, (batch, heads, time, wide))


def _where(mask: Any, x: Value, other: float) -> Value:
    return node("Where", [mask, x, np.array(other, x.dtype)], x.dtype, x.shape)


def _clean(x: Value, mask: Value) -> Value:
    """Keys or values with zeros in the slots that no query of the row sees, which may hold NaN."""
    shape = (mask.shape[0], 1, 1, mask.shape[3])
    axes = mask.graph.sizes([1, 2])
    shown = node("ReduceMax", [cast_to(mask, _INT), axes], _INT, shape, keepdims=1)
    column = (shape[0], 1, shape[3], 1)
    seen = node("Transpose", [shown], _INT, column, perm=[0, 1, 3, 2]) > 0
    return _where(seen, x, 0.0)
