"""What comes in blocks, looked at through a window that goes forward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["Reel"]


@final
class Reel:
    """Rows of an array, such as samples or frames, of which a window and a block are held at most.

    Args:
        blocks: the rows in their order, however many in each; one block at least.
    """

    def __init__(self, blocks: Iterable[NDArray[Any]]) -> None:
        self._blocks = iter(blocks)
        self._held, self._first = next(self._blocks), 0

    def take(self, first: int, count: int) -> NDArray[Any]:
        """So many rows from one on; fewer where they end.

        Args:
            first: the same as in the call before, or further on. What is before it is forgotten.
            count: of rows.
        """
        parts = [self._held[first - self._first :]]
        drawn = self._first + len(self._held)
        while drawn < first + count and (block := next(self._blocks, None)) is not None:
            parts.append(block[max(first - drawn, 0) :])
            drawn += len(block)
        self._held = parts[0] if len(parts) == 1 else np.concatenate(parts)
        self._first = first
        return self._held[:count]
