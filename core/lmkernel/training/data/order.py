"""Which rows are in which batch, and one hash for all that batches follow from.

Constraints: a function of the seed and the batch's number; in every epoch each row comes once. The
last batch of an epoch that is not full is filled with copies of its first row, whose targets the
batch marks as ignored: all batches have one shape, and no row is left out or counted twice.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.random import raw_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Order", "digest_of"]

_LARGEST_FILLED = 4096
"""A batch of more rows than there are examples is filled up, which costs as much as examples do."""


@final
class Order:
    """The order of rows over all epochs.

    Args:
        rows: how many there are.
        batch: rows a batch.
        seed: of the shuffle.
        shuffle: whether each epoch has an order of its own: the stable order of the raw words of
            the stream ``shuffle.EPOCH``; else the rows come as they are.

    Raises:
        InputError: no rows, no place for them, or a batch that nearly all would be filling.
    """

    def __init__(self, rows: int, batch: int, *, seed: int, shuffle: bool) -> None:
        if rows < 1 or batch < 1:
            raise InputError(
                f"expected at least one example and a batch of one, got {rows} and {batch}"
            )
        if batch > max(rows, _LARGEST_FILLED):
            raise InputError(
                f"batch: expected at most {max(rows, _LARGEST_FILLED)} for {rows} examples, "
                f"got {batch}"
            )
        self._rows, self._batch, self._seed, self._shuffle = rows, batch, seed, shuffle
        self._latest: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        """Batches an epoch."""
        return (self._rows + self._batch - 1) // self._batch

    @property
    def parts(self) -> list[int]:
        """What the order follows from."""
        return [self._rows, self._batch, self._seed, int(self._shuffle)]

    def at(self, index: int) -> tuple[NDArray[np.int64], int, int]:
        """The rows of a batch, how many of them are real, and its epoch.

        Raises:
            InputError: the index is negative.
        """
        if index < 0:
            raise InputError(f"expected the number of a batch, 0 or more, got {index}")
        epoch, number = divmod(index, len(self))
        start = number * self._batch
        rows = self._permutation(epoch)[start : start + self._batch]
        real = rows.size
        return np.concatenate([rows, np.repeat(rows[:1], self._batch - real)]), real, epoch

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        """The epoch's order; the latest is kept, as batches are asked for one after another."""
        if not self._shuffle:
            return np.arange(self._rows)
        latest, order = self._latest
        if latest != epoch:
            order = np.argsort(raw_words(self._seed, f"shuffle.{epoch}", self._rows), kind="stable")
            self._latest = (epoch, order)
        return order


def digest_of(*parts: Any) -> str:
    """Hexadecimal BLAKE2b-128 of parts in their order: arrays, and values that JSON can express."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            _add(state, json.dumps([part.dtype.str, *part.shape]).encode())
            _add(state, np.ascontiguousarray(part).view(np.uint8).data)
        else:
            _add(state, json.dumps(part, sort_keys=True).encode())
    return state.hexdigest()


def _add(state: Any, data: bytes | memoryview) -> None:
    """A part after its length, without which two lists of parts could give the same bytes."""
    state.update(len(data).to_bytes(8, "little"))
    state.update(data)
