"""What the states of several optimizers begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["zeros"]


def zeros(ops: Ops, params: Mapping[str, Array]) -> dict[str, Array]:
    """Zeros in the shape and dtype of each parameter."""
    return {name: ops.full(tuple(p.shape), 0.0, ops.dtype(p)) for name, p in params.items()}
