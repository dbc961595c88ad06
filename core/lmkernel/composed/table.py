"""Which function composes which optional operation."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.composed import (
    activation,
    attention,
    blocks,
    experts,
    linear,
    loss,
    normalization,
    optimizer,
    recurrent,
    selection,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["COMPOSED"]

_MODULES = (
    activation,
    attention,
    blocks,
    experts,
    linear,
    loss,
    normalization,
    optimizer,
    recurrent,
    selection,
)

COMPOSED: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {name: getattr(module, name) for module in _MODULES for name in module.__all__}
)
"""Every public function of the composing modules, under its own name."""
