"""The interface of training data: batches that are a function of their number.

Constraint: no position is kept anywhere. The batch of a number is the same in every process and on
every backend, so that resuming in the middle of an epoch is asking for the next number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Required, TypedDict, Unpack, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.training.data.order import Order, digest_of
from lmkernel.training.data.ragged import positions_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ArrayBatches",
    "Batch",
    "Batches",
    "Cut",
    "MeasuredBatches",
    "OrderedBatches",
    "PaddedBatches",
    "PaddedCut",
]

Batch = dict[str, "NDArray[Any]"]
"""Host arrays by name: those of `Model.forward` (``inputs``, ``positions``, ``segments``,
``target``, ``target_positions``) and ``targets``; int32, or float32 for vectors. Positions are -1
at padding; class targets are negative where they are ignored."""


class Batches(ABC):
    """Training or validation data, batched."""

    @abstractmethod
    def __len__(self) -> int:
        """Batches in one epoch, at least 1."""

    @abstractmethod
    def at(self, index: int) -> Batch:
        """The batch of a number from 0 on, over all epochs: ``index // len`` is the epoch."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Hexadecimal hash of all that the batches follow from: data, seed, sizes."""


class Cut(TypedDict, total=False):
    """How rows are cut into batches.

    ``context``, the most positions of a row; ``batch``, how many rows; ``seed`` of the shuffle, by
    default 0; ``shuffle``, whether rows come in another order each epoch, by default true.
    """

    context: Required[int]
    batch: Required[int]
    seed: int
    shuffle: bool


class OrderedBatches(Batches, ABC):
    """Batches of numbered rows in an order that follows from a seed.

    Args:
        rows: how many there are.
        context, batch, seed, shuffle: see `Cut`.
    """

    def __init__(
        self, rows: int, *, context: int, batch: int, seed: int = 0, shuffle: bool = True
    ) -> None:
        self._context = context
        self._order = Order(rows, batch, seed=seed, shuffle=shuffle)

    def __len__(self) -> int:
        """Batches in one epoch."""
        return len(self._order)


class PaddedCut(Cut, total=False):
    """Besides ``multiple``, of which the lengths of rows are, short of the context; default 64."""

    multiple: int


class PaddedBatches(OrderedBatches, ABC):
    """Rows of unequal lengths, padded on the right.

    Args:
        rows: how many there are.
        multiple: of which their lengths are, short of the context.
        cut: see `Cut`.
    """

    def __init__(self, rows: int, *, multiple: int = 64, **cut: Unpack[Cut]) -> None:
        super().__init__(rows, **cut)
        self._multiple = multiple

    def _positions(self, lengths: NDArray[np.int64]) -> NDArray[np.int32]:
        """Those of rows of these lengths, ``(rows, time)``.

        Time is the longest, rounded up, so that compiled backends meet few shapes.
        """
        longest = -(-int(lengths.max()) // self._multiple) * self._multiple
        return positions_of(lengths, min(longest, self._context))


class MeasuredBatches(PaddedBatches, ABC):
    """Rows that the field measures by more than a loss."""

    @abstractmethod
    def scores(self, outputs: Iterable[tuple[Batch, NDArray[Any]]]) -> dict[str, float]:
        """The measures by name, from each batch in order with the model's outputs for it."""


@final
class ArrayBatches(Batches):
    """Rows of arrays, by the names of a batch; the last batch of an epoch may be smaller.

    Args:
        arrays: ``inputs``, ``targets`` and what else the model takes, each with the rows first;
            whole numbers become int32, others float32.
        batch: rows; by default all of them.
        seed: of the shuffle.
        shuffle: whether rows come in another order each epoch; by default as they are.

    Raises:
        InputError: no inputs or targets, not numbers, or unequal numbers of rows.
    """

    def __init__(
        self,
        arrays: Mapping[str, ArrayLike],
        *,
        batch: int | None = None,
        seed: int = 0,
        shuffle: bool = False,
    ) -> None:
        missing = {"inputs", "targets"} - arrays.keys()
        if missing:
            raise InputError(f"expected the arrays inputs and targets, got {sorted(arrays)}")
        self._arrays = {name: _host(name, array) for name, array in arrays.items()}
        rows = {name: len(array) for name, array in self._arrays.items()}
        if len(set(rows.values())) > 1:
            raise InputError(f"expected as many rows in each array, got {rows}")
        count = rows["inputs"]
        self._order = Order(count, batch or count, seed=seed, shuffle=shuffle)

    def __len__(self) -> int:
        """Batches in one epoch."""
        return len(self._order)

    def at(self, index: int) -> Batch:
        """The arrays' rows, copied."""
        rows, real, _ = self._order.at(index)
        return {name: array[rows[:real]] for name, array in self._arrays.items()}

    @property
    def digest(self) -> str:
        """Of arrays and order."""
        names = sorted(self._arrays)
        arrays = [self._arrays[name] for name in names]
        return digest_of("arrays", names, *arrays, self._order.parts)


def _host(name: str, values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf" or not array.ndim:
        raise InputError(
            f"{name}: expected rows of numbers, got {array.dtype} of shape {array.shape}"
        )
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int32)
