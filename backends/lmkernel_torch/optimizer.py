"""Adam by PyTorch's fused kernel, in place, and the global norm by its grouped one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel.contract.mandatory import Array

__all__ = ["adam_update", "global_norm"]


def global_norm(arrays: Sequence[Array]) -> Array:
    """The norm of the norms."""
    wide = torch.promote_types(arrays[0].dtype, torch.float32)
    return torch.nn.utils.get_total_norm([x.to(wide) for x in arrays])


def adam_update(
    params: Sequence[Array],
    grads: Sequence[Array],
    first: Sequence[Array],
    second: Sequence[Array],
    scalars: Mapping[str, Array],
    *,
    beta1: float,
    beta2: float,
    eps: float,
    decays: Sequence[float],
) -> tuple[list[Array], list[Array], list[Array]]:
    """One call for each decay; the kernel works the corrections out from the step.

    It goes through memory from end to end, so all four must lie alike.
    """
    own = [[x.contiguous() for x in xs] for xs in (params, first, second)]
    grads, divisor = _scale_in_kernel(_separate(own[0], grads), scalars["grad_scale"])
    step = scalars["step"].float()
    for decay in dict.fromkeys(decays):
        chosen = [i for i, one in enumerate(decays) if one == decay]
        p, g, m, v = ([xs[i] for i in chosen] for xs in (own[0], grads, own[1], own[2]))
        options = {"lr": scalars["rate"], "beta1": beta1, "beta2": beta2, "eps": eps}
        options |= {"weight_decay": decay, "amsgrad": False, "maximize": False}
        steps = [step] * len(chosen)
        torch._fused_adamw_(p, g, m, v, [], steps, **options, grad_scale=divisor)
    return own[0], own[1], own[2]


def _separate(params: Sequence[Array], grads: Sequence[Array]) -> list[Array]:
    """Gradients laid out as their parameters, each in memory of its own.

    The kernel goes through memory from end to end and writes to the gradients, which may be
    transposed, or one array handed out twice.
    """
    seen: set[int] = set()
    apart = []
    for p, g in zip(params, grads, strict=True):
        address = g.untyped_storage().data_ptr()
        alone = g.stride() == p.stride() and address not in seen
        seen.add(address)
        apart.append(g if alone else torch.empty_like(p).copy_(g))
    return apart


def _scale_in_kernel(grads: list[Array], scale: Array) -> tuple[list[Array], Array | None]:
    """Gradients and the divisor for the fused kernel, which takes one in float32 alone.

    float64 gradients are multiplied here, and there is no divisor.
    """
    if scale.dtype == torch.float64:
        return list(torch._foreach_mul(grads, scale)), None  # noqa: SLF001 - one call for all
    return grads, scale.float().reciprocal()
