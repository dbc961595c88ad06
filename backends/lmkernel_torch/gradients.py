"""Operations with gradients of their own, for training on a processor.

Constraint: each runs backward once, for what it has saved for that is used up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import torch

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array

__all__ = ["Attention", "CrossEntropy"]


@final
class CrossEntropy(torch.autograd.Function):
    """``logits (n, classes)``, ``targets (n,)`` ``-> (n,)``; 0 where a target is negative.

    With p the softmax, s the smoothing and -log p[target] the loss without it, the gradient is
    p - (1 - s)·onehot - s / classes, made at once in the only other array of the logits' size.
    """

    @staticmethod
    def forward(ctx: Any, logits: Array, targets: Array, smoothing: float) -> Array:
        ignored, classes = (targets < 0).unsqueeze(1), targets.clamp_min(0).unsqueeze(1)
        p, own = torch.softmax(logits, 1), logits.gather(1, classes)
        losses = _logarithms(logits, p, own, p.gather(1, classes)).neg_()
        if smoothing:
            losses += (own - logits.mean(1, keepdim=True)) * smoothing
            p -= smoothing / logits.shape[1]
        p.scatter_add_(1, classes, losses.new_full((), smoothing - 1).expand_as(classes))
        if bool(ignored.any()):
            p.masked_fill_(ignored, 0)
        ctx.gradient = p
        return losses.masked_fill_(ignored, 0).squeeze(1)

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array, None, None]:
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            raise RuntimeError("expected one backward pass through a cross-entropy, got another")
        one_for_all = g.stride(0) == 0  # the gradient of a sum
        if not (one_for_all and bool(g[0] == 1)):
            gradient *= g.unsqueeze(1)
        return gradient, None, None


def _logarithms(logits: Array, p: Array, own: Array, chosen: Array) -> Array:
    """Log p of the targets ``(n, 1)``; ``chosen`` is their p, which may have become zero."""
    if bool((chosen > torch.finfo(p.dtype).tiny).all()):
        return chosen.log()
    highest, share = logits.amax(1, keepdim=True), p.amax(1, keepdim=True)
    return own - highest + share.log()  # the highest has the greatest share


@final
class Attention(torch.autograd.Function):
    """softmax(scale · q·kᵀ)·v with all weights kept, ``mask`` boolean or None.

    The library's fused kernel keeps none, but computes its gradients two to ten times as slowly.
    Queries ``(batch, heads, time, head_dim)``, keys and values ``(batch, kv_heads, slots, …)``;
    query heads of one group are stacked as rows.
    """

    @staticmethod
    def forward(
        ctx: Any, queries: Array, keys: Array, values: Array, mask: Array | None, scale: float
    ) -> Array:
        batch, heads, time, _ = queries.shape
        groups = batch * keys.shape[1]
        scaled = queries * scale
        q, k, v = (x.reshape(groups, -1, x.shape[-1]) for x in (scaled, keys, values))
        weights = torch.bmm(q, k.transpose(1, 2))
        by_head = weights.view(batch, heads, time, -1)
        if mask is not None:
            by_head.masked_fill_(~mask, float("-inf"))
        weights = torch.softmax(weights, -1)
        if mask is not None and not bool(mask.any(-1).all()):  # there the softmax is NaN
            weights.view_as(by_head).masked_fill_(~mask, 0)
        ctx.save_for_backward(q, k, v, weights)
        ctx.scale, ctx.shapes = scale, (queries.shape, keys.shape, values.shape)
        return torch.bmm(weights, v).view(batch, heads, time, -1)

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        q, k, v, weights = ctx.saved_tensors
        g = g.reshape(len(q), -1, v.shape[-1])
        dv = torch.bmm(weights.transpose(1, 2), g)
        slopes = torch.bmm(g, v.transpose(1, 2))
        slopes = torch.ops.aten._softmax_backward_data(slopes, weights, -1, weights.dtype)  # noqa: SLF001 - the gradient of torch.softmax
        dq, dk = torch.bmm(slopes, k).mul_(ctx.scale), torch.bmm(slopes.transpose(1, 2), q)
        made = zip((dq, dk, dv), ctx.shapes, strict=True)
        return (*(x.view(shape) for x, shape in made), None, None)
