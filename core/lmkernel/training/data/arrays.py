"""Plain arrays as batches, such as the four rows of the document's programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.training.data.batches import Batch, Batches
from lmkernel.training.data.digest import digest_of
from lmkernel.training.data.order import Order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

__all__ = ["ArrayBatches"]


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
