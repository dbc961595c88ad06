"""What a decoder is shown of pictures: vectors in the places of tokens (arXiv:2304.08485, §4.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.interfaces import Memory
from lmkernel.model.state import bucket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.config import SightConfig
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Embedded, Embedding, Encoder, Factory, ParamTree
    from lmkernel.model.model import Model
    from lmkernel.model.state import DecodingState

__all__ = [
    "Shown",
    "Sight",
    "fed_vectors",
    "picture_places",
    "row_pictures",
    "with_pictures",
]

_BATCH = 4
"""Pictures that the tower reads at a time, which bounds the memory of its scores."""


@final
class Sight:
    """What makes vectors of pictures: a tower of patches, and a connector.

    Args:
        factory: makes the components.
        config: their configuration.
    """

    def __init__(self, factory: Factory, config: SightConfig) -> None:
        self.config = config
        self._ops: Ops = factory.ops
        self._embedding: Embedding = factory.create("embedding", config.pictures.embedding)
        # a checkpoint holds the layers behind those that a picture goes through, too
        self._whole: Encoder = factory.create("encoder", config.pictures.encoder)
        self._encoder: Encoder = factory.create("encoder", config.encoder)
        self._connector: Encoder = factory.create("encoder", config.connector)

    def declare(self) -> dict[str, ParamTree]:
        """``{"pictures": {"embedding", "encoder"}, "connector"}``."""
        tower = {"embedding": self._embedding.declare(), "encoder": self._whole.declare()}
        return {"pictures": tower, "connector": self._connector.declare()}

    def __call__(self, params: Tree, pixels: Array) -> Array:
        """Vectors ``(pictures, count, width)``, as wide as those of tokens: a pure function.

        Args:
            params: of the whole model.
            pixels: ``(pictures, channels, height, width)``.

        Raises:
            InputError: pixels of another shape than the tower reads.
        """
        tower = params["pictures"]
        grid = self._ops.full((1, 1), 0, "int32")  # a picture has positions of its own
        embedded = self._embedding(tower["embedding"], pixels, grid)
        layers = {**tower["encoder"], "layers": tower["encoder"]["layers"][: self.config.depth]}
        made = self._encoder(layers, embedded)
        return self.connect(params, replace(embedded, hidden=made.hidden))

    def connect(self, params: Tree, embedded: Embedded) -> Array:
        """Vectors as wide as those of tokens, of what the tower's layers made of pictures.

        Args:
            params: with ``"connector"``.
            embedded: hidden vectors ``(pictures, patches and tokens before them, width)``.
        """
        config, hidden = self.config, embedded.hidden[:, self.config.skipped :]
        if config.joined > 1 and (patches := config.pictures.embedding.patches):
            hidden = joined_patches(self._ops, hidden, patches.grid, config.joined)
        return self._connector(params["connector"], replace(embedded, hidden=hidden)).hidden


def joined_patches(ops: Ops, x: Array, grid: tuple[int, int], side: int) -> Array:
    """Squares of neighbouring patches as one vector each, their values row by row.

    ``(batch, rows · columns, width) -> (batch, rows · columns / side², width · side²)``.
    """
    batch, _, width = x.shape
    rows, columns = (count // side for count in grid)
    x = ops.reshape(x, (batch, rows, side, columns, side, width))
    x = ops.permute_dims(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (batch, rows * columns, side * side * width))


def row_pictures(
    model: Model, params: Tree, rows: Sequence[NDArray[np.float32] | None]
) -> Memory | None:
    """The vectors of the pictures of each row, as `Model.begin` takes them; None for no pictures.

    Args:
        model: one that is shown pictures, or any where no row has some.
        params: its parameters.
        rows: pixels ``(pictures, channels, height, width)`` of each row, or None.

    Raises:
        InputError: a row has pictures, and the model sees none.
    """
    counts = [0 if row is None else len(row) for row in rows]
    if not any(counts):
        return None
    if model.sight is None:
        raise InputError("expected a model that is shown pictures, got one that reads texts alone")
    pixels = np.concatenate([row for row in rows if row is not None])
    ops, compute = model.backend.ops, model.policy.compute
    with model.backend.scope(), model.backend.inference():
        parts = [
            model.sight(params, ops.asarray(pixels[begin : begin + _BATCH], compute))
            for begin in range(0, len(pixels), _BATCH)
        ]
        vectors = ops.concat(parts, 0)
        each, width = vectors.shape[1:]
        # few shapes, where each is compiled
        most = bucket(max(counts) * each, model.backend.capabilities.shape_step)
        places, positions = _places_of_rows(counts, each, most)
        flat = ops.reshape(vectors, (len(pixels) * each, width))
        hidden = ops.take(flat, ops.asarray(places, "int32"), 0)
        return Memory(hidden, ops.asarray(positions, "int32"))


def _places_of_rows(
    counts: Sequence[int], each: int, most: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which vectors are each row's, of all one after the other, and their positions; -1 for none.

    Both int32 ``(rows, most)``.
    """
    places = np.zeros((len(counts), most), np.int32)
    positions = np.full((len(counts), most), -1, np.int32)
    first = 0
    for row, count in enumerate(counts):
        own = count * each
        places[row, :own] = np.arange(first, first + own)
        positions[row, :own] = np.arange(own)
        first += own
    return places, positions


def picture_places(tokens: NDArray[Any], token: int) -> NDArray[np.int32]:
    """Which vector stands in each place, of all rows' one after the other; -1 where a token does.

    Args:
        tokens: ids ``(batch, time)``.
        token: the id in whose places vectors stand.
    """
    there = tokens == token
    numbers = np.cumsum(there.reshape(-1)).reshape(there.shape) - 1
    return np.where(there, numbers, -1).astype(np.int32)


def with_pictures(ops: Ops, embedded: Embedded, vectors: Array, places: Array) -> Embedded:
    """Embedded tokens with vectors of pictures in some of their places.

    Args:
        ops: the backend's operations.
        embedded: ``(batch, time, width)``.
        vectors: ``(count, width)``.
        places: int32 ``(batch, time)``, the number of the vector in each place, -1 for none.
    """
    hidden, none = embedded.hidden, ops.full((), 0, "int32")
    rows = ops.astype(ops.take(vectors, ops.maximum(places, none), 0), ops.dtype(hidden))
    seen = ops.reshape(places >= none, (*hidden.shape[:2], 1))
    return replace(embedded, hidden=ops.where(seen, rows, hidden))


@final
@dataclass(frozen=True)
class Shown:
    """Vectors of pictures that a state's rows are still to be fed, in the places of one token.

    Args:
        vectors: ``(rows, most, width)`` on the device.
        counts: how many are each row's.
        used: how many of them were fed.
        token: the id in whose places they stand.
    """

    vectors: Array
    counts: NDArray[Any]
    used: NDArray[Any]
    token: int

    @classmethod
    def of(cls, ops: Ops, memory: Memory, token: int) -> Self:
        """Those of `row_pictures`, of which none was fed."""
        counts = (ops.to_numpy(memory.positions) >= 0).sum(1)
        return cls(memory.hidden, counts, np.zeros_like(counts), token)

    def places(self, tokens: NDArray[Any], positions: NDArray[Any]) -> NDArray[np.int32]:
        """Which of the vectors, of all rows' one after the other, stands in each place; -1: none.

        Args:
            tokens: host ids ``(batch, time)`` that are fed next.
            positions: of them; -1 is padding.
        """
        there = (tokens == self.token) & (positions >= 0)
        numbers = np.cumsum(there, 1) - 1 + self.used[:, None]
        # a place beyond them is a token that was generated
        there &= numbers < self.counts[:, None]
        first = np.arange(len(tokens))[:, None] * self.vectors.shape[1]
        return np.where(there, first + numbers, -1).astype(np.int32)

    def after(self, places: NDArray[np.int32]) -> Shown | None:
        """What is left once those of some places were fed; None for nothing."""
        used = self.used + (places >= 0).sum(1)
        return replace(self, used=used) if (used < self.counts).any() else None

    def of_rows(self, ops: Ops, rows: Sequence[int]) -> Shown:
        """Those of some rows, each as often as it is named."""
        vectors = ops.take(self.vectors, ops.asarray(list(rows), "int32"), 0)
        return replace(
            self, vectors=vectors, counts=self.counts[list(rows)], used=self.used[list(rows)]
        )


def fed_vectors(
    ops: Ops, state: DecodingState, tokens: NDArray[Any], positions: NDArray[Any]
) -> tuple[Array, ...]:
    """The vectors of a state's pictures, and where they stand among what is fed next, if any do.

    Those that do are fed by this, so they are no more to be fed. Inside the backend's scope.
    """
    if state.shown is None:
        return ()
    places, vectors = state.shown.places(tokens, positions), state.shown.vectors
    if places.max() < 0:
        return ()
    state.shown = state.shown.after(places)
    rows, most, width = vectors.shape
    return ops.reshape(vectors, (rows * most, width)), ops.asarray(places, "int32")
