"""PyTorch's own kernels in place of compositions."""

from __future__ import annotations

import functools
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from lmkernel_torch.gradients import Attention, CrossEntropy
from lmkernel_torch.optimizer import adam_update, global_norm
from lmkernel_torch.packing import linear, pack_linear, take_rows, unpack_bits, unpack_linear
from lmkernel_torch.tracing import is_traced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Cache

__all__ = ["OVERRIDES"]


def softmax(x: Array, axis: int = -1) -> Array:
    """Sums in float32 inside, whatever the dtype."""
    return torch.softmax(x, axis)


def log_softmax(x: Array, axis: int = -1) -> Array:
    """The same."""
    return torch.log_softmax(x, axis)


def gelu_tanh(x: Array) -> Array:
    """The tanh approximation."""
    return functional.gelu(x, approximate="tanh")


def swiglu(x: Array) -> Array:
    """The first half gates the second."""
    gate, up = x.chunk(2, -1)
    gate = functional.silu(gate)
    return gate * up if torch.is_grad_enabled() else gate.mul_(up)


_LONG = 64
"""From so many queries on, it pays to find out whether a mask is causal."""


_KEPT = 1 << 24
"""So many attention weights may be kept for the backward pass."""


def layer_norm(x: Array, weight: Array, bias: Array | None, eps: float) -> Array:
    """Over the last axis."""
    return functional.layer_norm(x, x.shape[-1:], weight, bias, eps)


def rms_norm(x: Array, weight: Array, eps: float) -> Array:
    """Over the last axis."""
    return functional.rms_norm(x, x.shape[-1:], weight, eps)


def rotate(x: Array, cos: Array, sin: Array) -> Array:
    """(a·cos - b·sin, b·cos + a·sin), two operations a half."""
    half = cos.shape[-1]
    a, b = x[..., :half], x[..., half : 2 * half]
    turned = [torch.addcmul(a * cos, b, sin, value=-1), torch.addcmul(b * cos, a, sin)]
    if x.shape[-1] > 2 * half:
        turned.append(x[..., 2 * half :])
    return torch.cat(turned, -1)


def attention(
    queries: Array,
    keys: Array,
    values: Array,
    mask: Array | None,
    *,
    scale: float,
    bias: Array | None = None,
    softcap: float | None = None,
) -> Array:
    """The fused kernel; slots that nobody sees are cleared first, since 0 · NaN is NaN."""
    causal = mask is not None and _is_causal(mask)
    # under a causal mask every slot is seen by its own query, so there is nothing to clear
    if mask is not None and not causal:
        seen = mask.any(2, keepdim=True).any(1, keepdim=True).transpose(2, 3)
        # asking costs less than two copies, but for a device that would have to wait, or a trace
        if is_traced() or mask.device.type != "cpu" or not seen.all():
            keys, values = keys.masked_fill(~seen, 0), values.masked_fill(~seen, 0)
    return _attend(queries, keys, values, mask, scale, bias, softcap, causal=causal)


def cache_attend(
    cache: Cache,
    queries: Array,
    mask: Array,
    *,
    extent: int,
    scale: float,
    bias: Array | None = None,
    softcap: float | None = None,
) -> Array:
    """A KV cache holds only what was computed, or zeros, so there is nothing to clear."""
    keys, values = cache["keys"][:, :, :extent], cache["values"][:, :, :extent]
    causal = _is_causal(mask)
    return _attend(queries, keys, values, mask, scale, bias, softcap, causal=causal)


def _attend(
    queries: Array,
    keys: Array,
    values: Array,
    mask: Array | None,
    scale: float,
    bias: Array | None,
    softcap: float | None,
    *,
    causal: bool,
) -> Array:
    if softcap is not None:
        return _attend_with_softcap(queries, keys, values, mask, scale, bias, softcap)
    # the fused kernel recomputes the weights in its backward pass, which on a processor is slower
    # than keeping them
    if bias is None and _is_trained(queries, keys):
        return Attention.apply(queries, keys, values, mask, scale, causal)
    shown = mask
    if bias is not None:
        shown, causal = bias if mask is None else bias.masked_fill(~mask, float("-inf")), False
    return functional.scaled_dot_product_attention(
        queries,
        keys,
        values,
        None if causal else shown,
        scale=scale,
        enable_gqa=True,
        is_causal=causal,
    )


def _is_trained(queries: Array, keys: Array) -> bool:
    """Whether gradients flow on the processor, and all weights may be kept for them."""
    trained = torch.is_grad_enabled() and queries.requires_grad
    if is_traced() or not (trained and queries.device.type == "cpu"):
        return False
    return bool(queries.shape[:3].numel() * keys.shape[2] <= _KEPT)


def _is_causal(mask: Array) -> bool:
    """Whether a large square mask shows each query all before it: then the kernel skips the rest.

    Looked at only where that costs little, on the processor.
    """
    if is_traced():
        return False
    rows, slots = mask.shape[-2:]
    if rows != slots or rows < _LONG or mask.device.type != "cpu":
        return False
    return bool((mask == _triangle(rows)).all())


@functools.lru_cache(maxsize=8)
def _triangle(rows: int) -> Array:
    return torch.ones(rows, rows, dtype=torch.bool).tril_()


def _attend_with_softcap(
    queries: Array,
    keys: Array,
    values: Array,
    mask: Array | None,
    scale: float,
    bias: Array | None,
    softcap: float,
) -> Array:
    """Attention with capped scores, step by step, as the fused kernel has no cap."""
    groups = queries.shape[1] // keys.shape[1]
    keys, values = (x.repeat_interleave(groups, 1) for x in (keys, values))
    scores = torch.matmul(queries, keys.transpose(2, 3)).to(
        torch.promote_types(queries.dtype, torch.float32)
    )
    scores = torch.tanh(scores * (scale / softcap)) * softcap
    if bias is not None:
        scores = scores + bias
    if mask is None:
        weights = torch.softmax(scores, -1)
    else:
        weights = torch.softmax(scores.masked_fill(~mask, -1e30), -1).masked_fill(~mask, 0)
    return torch.matmul(weights.to(values.dtype), values)


def cross_entropy(logits: Array, targets: Array, smoothing: float = 0.0) -> Array:
    """Over rows; where gradients are wanted, they are made together with the losses."""
    rows = logits.reshape(-1, logits.shape[-1])
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    classes = targets.reshape(-1).long()
    if torch.is_grad_enabled() and rows.requires_grad:
        losses = CrossEntropy.apply(rows, classes, smoothing)
    else:
        losses = functional.cross_entropy(
            rows,
            classes.clamp_min(-1),
            ignore_index=-1,
            reduction="none",
            label_smoothing=smoothing,
        )
    return losses.reshape(targets.shape).to(logits.dtype)


def remat(f: Callable[..., Tree]) -> Callable[..., Tree]:
    """Inner values are computed again in the backward pass."""

    def again(*args: Any) -> Tree:
        return checkpoint(f, *args, use_reentrant=False)

    return again


def expert_linear(x: Array, weight: Array, experts: Array) -> Array:
    """Rows of one expert together, so that only the matrices that are asked for are read."""
    if is_traced():  # no value may be read, so each row takes its own matrix
        return torch.bmm(weight[experts], x[:, :, None])[:, :, 0]
    order = torch.argsort(experts, stable=True)
    counts = torch.bincount(experts, minlength=weight.shape[0]).tolist()
    parts = torch.split(x[order], counts)
    products = [part @ matrix.T for part, matrix in zip(parts, weight, strict=True) if len(part)]
    y = x.new_empty((len(x), weight.shape[1]))
    return y.index_copy(0, order, torch.cat(products)) if products else y


OVERRIDES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "softmax": softmax,
        "log_softmax": log_softmax,
        "relu": torch.relu,
        "silu": functional.silu,
        "gelu": functional.gelu,
        "gelu_tanh": gelu_tanh,
        "swiglu": swiglu,
        "pack_linear": pack_linear,
        "unpack_linear": unpack_linear,
        "linear": linear,
        "take_rows": take_rows,
        "unpack_bits": unpack_bits,
        "expert_linear": expert_linear,
        "layer_norm": layer_norm,
        "rms_norm": rms_norm,
        "rotate": rotate,
        "attention": attention,
        "cache_attend": cache_attend,
        "cross_entropy": cross_entropy,
        "remat": remat,
        "global_norm": global_norm,
        **({"adam_update": adam_update} if hasattr(torch, "_fused_adamw_") else {}),
    }
)
