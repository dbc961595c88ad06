"""Clipping by the global norm (arXiv:1211.5063, §3.2), as a factor that the optimizer applies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.composed.precision import constant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["clip_factor", "global_norm"]


def global_norm(ops: Ops, grads: Mapping[str, Array]) -> Array:
    """√Σx² over all gradients, 0-d, in float32 at least; infinite where a square is."""
    return ops.global_norm([grads[name] for name in sorted(grads)])


def clip_factor(ops: Ops, norm: Array, limit: float) -> Array:
    """min(1, limit / norm): what gradients of this norm are multiplied by; 1 at norm 0.

    0 where the norm is infinite.
    """
    highest = constant(ops, limit, norm)
    return highest / ops.maximum(norm, highest)
