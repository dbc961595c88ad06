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
        more_rotations: the same of further RoPEs.
    """

    hidden: Array
    positions: Array
    rotation: tuple[Array, Array] | None = None
    more_rotations: tuple[tuple[Array, Array], ...] = ()

    def rotation_of(self, index: int | None) -> tuple[Array, Array] | None:
        """The cosines and sines of a RoPE by its number from 0; None for None."""
        if not index:
            return self.rotation if index == 0 else None
        return self.more_rotations[index - 1]


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
