"""Shapes while a graph is traced, where the extent of a batch may be unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["extents"]


def extents(shape: Iterable[int | None]) -> tuple[int, ...]:
    """A shape for `tf.reshape`, which works one unknown extent out by itself."""
    return tuple(-1 if extent is None else extent for extent in shape)
