"""Inputs become vectors."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.interfaces.component import Component

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array

__all__ = ["Embedded", "Embedding"]


@final
@dataclass(frozen=True)
class Embedded:
    """Embedded inputs.

    Args:
        hidden: ``(batch, time, width)``.
        positions: int32 ``(batch, time)``; -1 is padding.
        rotation: RoPE's cosines and sines of the positions, each ``(batch, 1, time, dim / 2)``.
    """

    hidden: Array
    positions: Array
    rotation: tuple[Array, Array] | None = None


class Embedding(Component):
    """Turns tokens or vectors into hidden vectors with their positions."""

    @abstractmethod
    def __call__(
        self,
        params: dict[str, Any],
        inputs: Array,
        positions: Array,
        *,
        segments: Array | None = None,
        key: Array | None = None,
    ) -> Embedded:
        """Embed a batch.

        Args:
            params: as declared, or packed.
            inputs: int32 tokens ``(batch, time)``, or vectors ``(batch, time, width)``.
            positions: int32 ``(batch, time)``; -1 marks padding.
            segments: int32 ``(batch, time)``, for an embedding that has segments.
            key: int32 ``(2,)`` in training, for dropout; None otherwise.
        """

    @abstractmethod
    def weight(self, params: dict[str, Any]) -> Array:
        """The token table ``(vocab, width)`` or its packed handle, for a tied head."""
