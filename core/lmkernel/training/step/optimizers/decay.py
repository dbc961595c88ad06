"""Which parameters decay, and by how much: weights do, biases and normalisations do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.composed.precision import constant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Param

__all__ = ["decayed", "decays", "shrink"]


def decayed(name: str, param: Param) -> bool:
    """Whether weight decay applies: not to a bias, nor to what has one axis, as norms have."""
    return len(param.shape) > 1 and name.rpartition(".")[2] != "bias"


def decays(weight_decay: float, declared: Mapping[str, Param]) -> dict[str, float]:
    """The decay of each parameter by dotted name."""
    return {n: weight_decay if decayed(n, p) else 0.0 for n, p in declared.items()}


def shrink(ops: Ops, p: Array, rate: Array, decay: float) -> Array:
    """``p - rate · decay · p``, decoupled from the gradient (arXiv:1711.05101, eq. 12)."""
    return p - p * (rate * constant(ops, decay, p)) if decay else p
