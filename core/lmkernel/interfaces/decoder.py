"""The decoder writes the target, all of it at once or a few tokens at a time."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from lmkernel.interfaces.component import Component

if TYPE_CHECKING:
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.interfaces.embedding import Embedded
    from lmkernel.interfaces.encoder import Memory

__all__ = ["Decoder"]


class Decoder(Component):
    """Turns embedded inputs, and a memory where there is one, into hidden vectors."""

    @abstractmethod
    def __call__(
        self,
        params: dict[str, Any],
        inputs: Embedded,
        *,
        memory: Memory | None = None,
        key: Array | None = None,
    ) -> Array:
        """Every position at once: ``(batch, time, in) -> (batch, time, out)``."""

    @abstractmethod
    def start(
        self,
        params: dict[str, Any],
        batch: int,
        capacity: int,
        dtype: DType,
        *,
        memory: Memory | None = None,
    ) -> Tree:
        """The state before the first token: for a transformer, an empty KV cache.

        Args:
            params: as declared, or packed.
            batch: the number of rows.
            capacity: the number of positions that a row has room for.
            dtype: the dtype of keys and values.
            memory: an encoder's output, for an encoder-decoder.
        """

    @abstractmethod
    def step(
        self, params: dict[str, Any], inputs: Embedded, state: Tree, start: Array, *, extent: int
    ) -> tuple[Array, Tree]:
        """The next positions, given the state (consumed), or KV cache, of those before.

        Args:
            params: as declared, or packed.
            inputs: ``time`` embedded positions; rows share slots, and are padded on the left.
            state: the state from `start`, `grow` or the last step.
            start: 0-d int32, the number of slots written so far.
            extent: number of slots to look at, static; at least ``start + time``, at most the
                capacity.

        Returns:
            ``(batch, time, out)`` and the new state.
        """

    @abstractmethod
    def grow(self, state: Tree, capacity: int) -> Tree:
        """The state (consumed) with room for ``capacity`` positions in its KV cache."""
