"""Operations on tensors that lie in parts along ``model``: tensor parallel, with `DTensor`.

Weights are divided by heads, inner width and vocabulary. What is not divided is whole in every
process, and a sum over processes is made at once: the outputs of each half of a layer forward, and
their inputs backward, so that a layer sends four sums (arXiv:1909.08053, §3). Attention and
cross-entropy compute on parts as on ordinary tensors. Left to itself, DTensor takes for each
operation the layout that sends least there, which may join a whole weight.
"""

from __future__ import annotations

import functools
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import torch
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard
from torch.nn import functional

from lmkernel_torch import overrides
from lmkernel_torch.packing import take_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.mandatory import Array

__all__ = ["DIVIDED", "reshape", "whole"]


def whole(x: Array) -> Array:
    """What lies in parts, or as sums, as an ordinary tensor."""
    return x.full_tensor() if isinstance(x, DTensor) else x


@final
class _Entering(torch.autograd.Function):
    """What enters divided weights; its gradient is added up once, whatever it is used for."""

    @staticmethod
    def forward(ctx: Any, x: Array) -> Array:
        del ctx
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        del ctx
        return _added_up(g)


def _added_up(x: Array) -> Array:
    """The sum, where each process holds a summand."""
    summands = isinstance(x, DTensor) and x.placements[0].is_partial()
    return x.redistribute(x.device_mesh, [Replicate()]) if summands else x


def _on(x: Array, part: Array, placement: Placement) -> Array:
    """What every process computed, on the mesh of another tensor."""
    return DTensor.from_local(part, x.device_mesh, [placement], run_check=False)


def _sum_of_parts(x: Array, part: Array) -> Array:
    """A sum over processes, as an ordinary tensor; the gradient is the same everywhere."""
    return _on(x, part, Partial()).redistribute(x.device_mesh, [Replicate()]).to_local()


def _is_divided(x: Array, axis: int) -> bool:
    return isinstance(x, DTensor) and x.placements[0].is_shard(axis)


def rows(weight: Array, indices: Array) -> Array:
    """Rows of a table ``(rows, width)``, ``(…) -> (…, width)``, added up over processes.

    Where the table lies in parts, each process takes its own rows, and zeros for others.
    """
    if not _is_divided(weight, 0):
        return take_rows(weight, indices)
    part = weight.to_local()
    own = indices - len(part) * weight.device_mesh.get_local_rank()
    there = (own >= 0) & (own < len(part))
    found = take_rows(part, own * there).masked_fill(~there.unsqueeze(-1), 0)
    return _added_up(_on(weight, found, Partial()))


def linear(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    delta: tuple[Array, Array] | None = None,
) -> Array:
    """``(…, in) -> (…, out)``: outputs are in parts, or inputs are and outputs are added up."""
    y = _added_up(functional.linear(x, weight))
    if bias is not None:
        y = y + bias
    return y if delta is None else y + linear(linear(x, delta[0]), delta[1])


def layer_norm(x: Array, weight: Array, bias: Array | None, eps: float) -> Array:
    """Over the last axis; the gradient of what follows, which is divided, is added up here."""
    return _Entering.apply(overrides.layer_norm(x, weight, bias, eps))


def rms_norm(x: Array, weight: Array, eps: float) -> Array:
    """Over the last axis; its gradient as that of `layer_norm`.

    Of an axis in parts, such as all heads together (OLMo 2), processes send one number a vector.
    """
    if _is_divided(x, x.ndim - 1):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.square().mean(-1, keepdim=True)
        return (wide * torch.rsqrt(mean + eps)).to(x.dtype) * weight
    return _Entering.apply(overrides.rms_norm(x, weight, eps))


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
    """Each process attends with its own heads; shapes are those of `Ops.attention`."""
    attend = functools.partial(overrides.attention, scale=scale, softcap=softcap)
    if not _is_divided(queries, 1):
        return attend(whole(queries), whole(keys), whole(values), mask, bias=whole(bias))
    q, even = _part_of(queries, queries, 1), keys.shape[1] % queries.device_mesh.size() == 0
    k, v = (_part_of(x, queries, 1) if even else _looked_at(x, queries) for x in (keys, values))
    shown = None if bias is None else _part_of(bias, queries, 1)
    return _on(queries, attend(q, k, v, mask, bias=shown), Shard(1))


def reshape(x: Array, shape: tuple[int, ...]) -> Array:
    """Heads of keys that do not divide over processes are joined before they are told apart."""
    last = x.ndim - 1
    if _is_divided(x, last) and len(shape) > x.ndim and shape[last] % x.device_mesh.size():
        x = x.redistribute(x.device_mesh, [Replicate()])
    return torch.reshape(x, shape)


def _looked_at(x: Array, queries: Array) -> Array:
    """The head of keys or values for each of this process's heads of queries.

    Of heads that do not divide over processes, several look at one; its gradient is their sum.

    Args:
        x: keys or values ``(batch, kv_heads, slots, head_dim)``.
        queries: ``(batch, heads, time, head_dim)``, in parts along heads.

    Returns:
        An ordinary tensor ``(batch, heads of this process, slots, head_dim)``.
    """
    mesh, group = queries.device_mesh, queries.shape[1] // x.shape[1]
    own = queries.shape[1] // mesh.size()
    every = _on_mesh(x, mesh).redistribute(mesh, [Replicate()])
    which = torch.arange(own, device=mesh.device_type) + own * mesh.get_local_rank()
    return every.to_local(grad_placements=[Partial()]).index_select(1, which // group)


def _on_mesh(x: Array, mesh: Any) -> Array:
    """What is equal in every process, as a tensor of the mesh."""
    if isinstance(x, DTensor):
        return x
    return DTensor.from_local(x, mesh, [Replicate()], run_check=False)


def _part_of(x: Array, like: Array, axis: int) -> Array:
    """This process's part along an axis, as an ordinary tensor."""
    mesh = like.device_mesh
    return _on_mesh(x, mesh).redistribute(mesh, [Shard(axis)]).to_local()


def cross_entropy(logits: Array, targets: Array, smoothing: float = 0.0) -> Array:
    """``(…, classes), (…) -> (…)``, where each process has logits of its part of the classes.

    Processes send the largest, the sum of exponentials and the target's own, and no logits.
    """
    axis = logits.ndim - 1
    if not _is_divided(logits, axis):
        return overrides.cross_entropy(whole(logits), targets, smoothing)
    part = logits.to_local()
    wide = part.to(torch.promote_types(part.dtype, torch.float32))
    highest = _on(logits, wide.detach().amax(-1), Partial("max")).full_tensor()
    total = _sum_of_parts(logits, (wide - highest.unsqueeze(-1)).exp().sum(-1))
    own = targets.long() - part.shape[-1] * logits.device_mesh.get_local_rank()
    there = (own >= 0) & (own < part.shape[-1])
    picked = wide.gather(-1, (own * there).unsqueeze(-1)).squeeze(-1).masked_fill(~there, 0)
    losses = total.log() + highest - (1 - smoothing) * _sum_of_parts(logits, picked)
    if smoothing:
        losses = losses - smoothing / logits.shape[-1] * _sum_of_parts(logits, wide.sum(-1))
    return losses.masked_fill(targets < 0, 0).to(part.dtype)


_SAME = ("relu", "silu", "gelu", "gelu_tanh", "remat", "adam_update")
"""What takes each number by itself, calls a function again, or sees a process's own parts alone."""

DIVIDED: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        **{name: f for name, f in overrides.OVERRIDES.items() if name in _SAME},
        "take_rows": rows,
        "linear": linear,
        "layer_norm": layer_norm,
        "rms_norm": rms_norm,
        "attention": attention,
        "cross_entropy": cross_entropy,
    }
)
