"""Operations with gradients of their own, for training on a processor.

Constraint: each runs backward once, for what it has saved for that is used up, and has no second
derivative, which is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import torch
from torch.autograd.function import once_differentiable

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
        # p becomes the gradient in place, so that one array of the logits' size is kept and not two
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
    @once_differentiable
    def backward(ctx: Any, g: Array) -> tuple[Array, None, None]:
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            raise RuntimeError("expected one backward pass through a cross-entropy, got another")
        # a sum of losses hands back ones, expanded from a single number: then there is nothing to
        # do
        one_for_all = g.stride(0) == 0
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
    query heads of one group are stacked as rows. ``causal`` says that the mask is the triangle:
    then a quarter of the queries at a time looks at the slots up to its last one alone.
    """

    @staticmethod
    def forward(
        ctx: Any,
        queries: Array,
        keys: Array,
        values: Array,
        mask: Array | None,
        scale: float,
        causal: bool,
    ) -> Array:
        batch, heads, time, _ = queries.shape
        groups = batch * keys.shape[1]
        k, v = (x.reshape(groups, -1, x.shape[-1]) for x in (keys, values))
        out = _beside(queries, v.shape[-1])
        kept = []
        for rows, seen in _blocks(time, k.shape[1], causal=causal):
            q = queries[:, :, rows].reshape(groups, -1, queries.shape[-1])
            scores = _product(q, k[:, :seen].transpose(1, 2), scale)
            shown = None if mask is None else mask[..., rows, rows if causal else slice(None)]
            weights = _weights(scores.view(batch, heads, -1, seen), shown, causal=causal)
            weights = weights.view_as(scores)
            out[:, :, rows] = torch.bmm(weights, v[:, :seen]).view(batch, heads, -1, v.shape[-1])
            kept += [q, weights]
        ctx.save_for_backward(k, v, *kept)
        ctx.scale, ctx.causal = scale, causal
        ctx.shapes = queries.shape, keys.shape, values.shape
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        k, v, *kept = ctx.saved_tensors
        shape = ctx.shapes[0]
        dq = _beside(g, shape[3])
        dk: Array = None
        dv: Array = None
        blocks = _blocks(shape[2], k.shape[1], causal=ctx.causal)
        parts = list(zip(blocks, kept[::2], kept[1::2], strict=True))
        # from the last block to the first: the last one looks at all slots, so its dk and dv are
        # whole arrays to add the others to
        for (rows, seen), q, weights in reversed(parts):
            own = g[:, :, rows].reshape(len(q), -1, v.shape[-1])
            dv = _accumulate(dv, torch.bmm(weights.transpose(1, 2), own))
            slopes = torch.bmm(own, v[:, :seen].transpose(1, 2))
            slopes = torch.ops.aten._softmax_backward_data(slopes, weights, -1, weights.dtype)  # noqa: SLF001 - the gradient of torch.softmax
            made = _product(slopes, k[:, :seen], ctx.scale)
            dq[:, :, rows] = made.view(*shape[:2], -1, shape[3])
            dk = _accumulate(dk, _product(slopes.transpose(1, 2), q, ctx.scale))
        return dq, dk.view(ctx.shapes[1]), dv.view(ctx.shapes[2]), None, None, None


_BLOCKS = 4
"""So many parts of the queries leave out what no query of theirs sees: 3/8 of all products."""


def _blocks(time: int, slots: int, *, causal: bool) -> list[tuple[slice, int]]:
    """Queries, and how many slots they look at."""
    if not causal:
        return [(slice(0, time), slots)]
    step = -(-time // _BLOCKS)
    return [(slice(i, min(i + step, time)), min(i + step, time)) for i in range(0, time, step)]


def _beside(like: Array, width: int) -> Array:
    """Room for ``(batch, heads, time, width)``, laid out as ``(batch, time, heads, width)``.

    Then joining the heads, which follows attention, is a view.
    """
    batch, heads, time, _ = like.shape
    return like.new_empty(batch, time, heads, width).transpose(1, 2)


def _accumulate(whole: Array | None, part: Array) -> Array:
    """``whole`` with ``part`` added to its first slots; the part itself where there is no whole."""
    if whole is None:
        return part
    whole[:, : part.shape[1]] += part
    return whole


def _product(x: Array, y: Array, scale: float) -> Array:
    """Scale · x·y for a batch of matrices, the factor taken on by the product."""
    return torch.baddbmm(x.new_empty(()), x, y, beta=0, alpha=scale)


def _weights(scores: Array, mask: Array | None, *, causal: bool) -> Array:
    """The softmax of ``(batch, heads, time, slots)``, consumed; zeros where nothing is seen.

    The mask is that of the last slots; those before are seen by all.
    """
    if mask is None:
        return torch.softmax(scores, -1)
    scores[..., scores.shape[-1] - mask.shape[-1] :].masked_fill_(~mask, float("-inf"))
    weights = torch.softmax(scores, -1)
    if not causal and not bool(mask.any(-1).all()):  # there the softmax is NaN
        weights.masked_fill_(~mask, 0)
    return weights
