"""The parts of a model, in the order in which a batch goes through them, and what they pass on."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final

from lmkernel.config.check import frozen_options, require
from lmkernel.interfaces.component import Component

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree

__all__ = [
    "Attention",
    "Decoder",
    "Embedded",
    "Embedding",
    "Encoder",
    "Loss",
    "LossConfig",
    "Memory",
    "View",
]


@final
@dataclass(frozen=True)
class Embedded:
    """Embedded inputs.

    Args:
        hidden: ``(batch, time, width)``.
        positions: int32 ``(batch, time)``; -1 is padding.
        rotation: RoPE's cosines and sines of the positions, each ``(batch, 1, time, dim / 2)``.
        more_rotations: the same of further RoPEs.
        relative: the table of distances: of biases, ``(buckets, heads)``, or of vectors,
            ``(buckets, width)``; or None.
        more_relative: the tables of further layers, where each has one of its own.
    """

    hidden: Array
    positions: Array
    rotation: tuple[Array, Array] | None = None
    more_rotations: tuple[tuple[Array, Array], ...] = ()
    relative: Array | None = None
    more_relative: tuple[Array, ...] = ()

    def relative_of(self, index: int) -> Array | None:
        """A table of distances by its number from 0."""
        return self.more_relative[index - 1] if index else self.relative

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

    def with_balance(
        self,
        params: dict[str, Any],
        inputs: Embedded,
        *,
        memory: Memory | None = None,
        key: Array | None = None,
    ) -> tuple[Array, Array | None]:
        """What a call gives, and what training adds to the mean loss so that experts are balanced.

        Arguments as for a call. The loss is 0-d, weighed already; None in a decoder without experts
        or whose configuration weighs it by nothing.
        """
        return self(params, inputs, memory=memory, key=key), None

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
        distances: vectors of distances, ``(buckets, width)``, that are scored as keys are; or None.
        kept: int32 ``(batch, count)``, which slots a KV cache of recent ones keeps, of those before
            and the new ones behind them; None for any other.
    """

    query_positions: Array
    key_positions: Array
    mask: Array
    rotation: tuple[Array, Array] | None = None
    start: Array | None = None
    extent: int = 0
    bias: Array | None = None
    distances: Array | None = None
    kept: Array | None = None


class Attention(Component):
    """Turns hidden vectors into mixtures of the vectors that they look at.

    Attributes:
        recent: whether its KV cache is a dictionary of arrays ``(batch, heads, slots, width)`` of
            the newest slots alone, of a window or of the capacity, which `View.kept` chooses; their
            names begin with ``recent``.
        slotless: whether its cache has no slots, and is as large however many positions there are.
    """

    recent: bool = False
    slotless: bool = False

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


@final
@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """A loss of some kind: ``"mse"``, ``"cross_entropy"``, ``"soft_cross_entropy"`` or a plugin's.

    Args:
        smoothing: label smoothing of ``"cross_entropy"``.
        blank: the class that says nothing, of ``"ctc"``.
        zero_infinity: whether a row that can't say its labels counts for nothing, of ``"ctc"``.
        options: settings of a plugin's kind.
    """

    kind: str
    smoothing: float = 0.0
    blank: int = 0
    zero_infinity: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frozen_options(self)
        require(self, "smoothing", "a share in [0, 1)", ok=0 <= self.smoothing < 1)
        require(self, "blank", "0 or more", ok=self.blank >= 0)


class Loss(Component):
    """Compares outputs with targets; has no parameters of its own unless it declares some.

    Attributes:
        per_target: whether each class among the targets is that of one output, so that there is an
            accuracy.
    """

    per_target: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Return (total, count), both 0-d: the mean is their quotient.

        Micro-batches of unequal size add up rightly only as sums: totals with totals, counts with
        counts.

        Args:
            outputs: ``(…, classes)``, or any shape for a regression.
            targets: int32 classes ``(…)`` where a negative one is ignored, a distribution
                ``(…, classes)``, or values in the shape of ``outputs``.
        """
