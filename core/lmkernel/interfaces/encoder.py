"""The encoder reads the whole source."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.interfaces.component import Component

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.interfaces.embedding import Embedded

__all__ = ["Encoder", "Memory"]


@final
@dataclass(frozen=True)
class Memory:
    """An encoder's output, which a decoder reads by cross-attention or as its first state.

    Args:
        hidden: ``(batch, time, width)``.
        positions: int32 ``(batch, time)``; -1 is padding, which nobody may look at.
        state: the last state of each layer of a recurrent encoder, else None.
    """

    hidden: Array
    positions: Array
    state: Tree = None


class Encoder(Component):
    """Turns embedded inputs into a memory."""

    @abstractmethod
    def __call__(
        self, params: dict[str, Any], inputs: Embedded, *, key: Array | None = None
    ) -> Memory:
        """Encode ``(batch, time, in)``; ``key`` is for dropout, in training."""
