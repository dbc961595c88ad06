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
        key_positions: int32 ``(batch, slots)``; -1 is padding, or a slot of the KV cache that is
            not written yet.
        mask: boolean ``(batch, 1, time, slots)``, true where a query sees a slot.
        rotation: RoPE's cosines and sines of the query positions, each
            ``(batch, 1, time, dim / 2)``.
        start: 0-d int32, the slot of the first query, when there is a KV cache.
        extent: number of slots of the KV cache to look at; equals ``slots``.
        bias: term added to the scores, broadcasting to ``(batch, heads, time, slots)``, float32 or
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
            view: the mask and positions: who may see whom.
            memory: keys and values from `remember`, for cross-attention; None for self-attention.
            cache: the layer's KV cache, consumed; None when every position is in ``x``.

        Returns:
            ``(batch, time, width)``, and the new KV cache or None.
        """

    @abstractmethod
    def remember(self, params: dict[str, Any], hidden: Array) -> Tree:
        """Keys and values of an encoder's output, for cross-attention; computed once.

        ``hidden`` is ``(batch, time, memory_width)``.
        """

    @abstractmethod
    def cache(self, batch: int, capacity: int, dtype: Any) -> Tree:
        """An empty KV cache of this layer, with ``capacity`` slots a row."""
