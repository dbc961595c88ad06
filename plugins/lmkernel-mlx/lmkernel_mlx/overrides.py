"""MLX's own kernels in place of compositions."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["OVERRIDES"]

OVERRIDES: Mapping[str, Callable[..., Any]] = MappingProxyType({})
