"""Attention: each query looks at the positions that it may see."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.interfaces.component import Component

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array, Tree

__all__ = ["Attention", "View"]


@final
@dataclass(frozen=True)
class View:
    """Who may see whom, made once for all layers.

    Args:
        query_positions: int32 ``(batch, time)``; -1 is padding.
        key_positions: int32 ``(batch, slots)``; -1 is padding, or a slot not written yet.
        mask: boolean ``(batch, 1, time, slots)``, true where a query sees a slot.
        rotation: cosines and sines of the query positions, each ``(batch, 1, time, dim / 2)``.
        start: 0-d int32, the slot of the first query, when there is a cache.
        extent: how many slots of the cache are looked at; equals ``slots``.
        bias: added to the scores, broadcasting to ``(batch, heads, time, slots)``, float32 or
            wider.
    """

    query_positions: Array
    key_positions: Array
    mask: Array
    rotation: tuple[Array, Array] | None = None
    start: Array | None = None
    extent: int = 0
    bias: Array | None = None


class Attention(Component):
    """Turns hidden vectors into mixtures of the vectors that they look at."""

    @abstractmethod
    def __call__(
        self,
        params: dict[str, Any],
        x: Array,
        view: View,
        *,
        memory: Tree = None,
        cache: Tree = None,
    ) -> tuple[Array, Tree]:
        """Attend.

        Args:
            params: as declared, or packed.
            x: ``(batch, time, width)``.
            view: who may see whom.
            memory: from `remember`, for cross-attention; None for self-attention.
            cache: from `Ops.cache_create`, consumed; None when every position is in ``x``.

        Returns:
            ``(batch, time, width)``, and the new cache or None.
        """

    @abstractmethod
    def remember(self, params: dict[str, Any], hidden: Array) -> Tree:
        """Keys and values of an encoder's output ``(batch, time, memory_width)``, made once."""

    @abstractmethod
    def cache(self, batch: int, capacity: int, dtype: Any) -> Tree:
        """An empty cache of this layer."""
