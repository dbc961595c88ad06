"""Optional operations for which ONNX Runtime has something better than the composition."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.mandatory import Array

__all__ = ["overrides"]


def overrides() -> Mapping[str, Callable[..., Any]]:
    """The operations by name."""
    return MappingProxyType({"pack_linear": _pack_linear})


def _pack_linear(weight: Array) -> Array:
    """The weight, copied so that it lies in memory as its transpose (in, out) does.

    One row is multiplied a half faster by that. It is still an array: whoever transposes it has
    what is multiplied, without a copy.
    """
    return np.asfortranarray(weight)
