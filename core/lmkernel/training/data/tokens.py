"""A long sequence of tokens, wherever its pieces lie.

Constraint: reading a stretch costs one copy for each piece that it touches, and no work by token,
so that memory-mapped arrays of any size can be read at random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.training.data.order import digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Tokens"]


@final
class Tokens:
    """Tokens in order.

    Args:
        arrays: of any integer dtype, one-dimensional.
        pieces: ``(pieces, 3)``: number of the array, first and end; each piece holds something.
        digest: hexadecimal hash of the tokens, or of all that they follow from.
        highest: no token is above it.
        text_bytes: how many bytes of UTF-8 they stand for; 0 if that is not known.
    """

    def __init__(
        self,
        arrays: Sequence[NDArray[Any]],
        pieces: NDArray[np.int64],
        *,
        digest: str,
        highest: int,
        text_bytes: int = 0,
    ) -> None:
        self._arrays = tuple(arrays)
        self._pieces = pieces
        self._starts = np.concatenate([[0], np.cumsum(pieces[:, 2] - pieces[:, 1])])
        self.digest = digest
        self.highest = highest
        self.text_bytes = text_bytes

    @classmethod
    def of(cls, tokens: ArrayLike) -> Self:
        """Tokens that are one array or list.

        Raises:
            InputError: not one-dimensional, empty, not integers, or negative.
        """
        array = np.asarray(tokens)
        if array.ndim != 1 or not array.size or array.dtype.kind not in "iu" or array.min() < 0:
            raise InputError(
                "expected a sequence of token ids of 0 or more, "
                f"got {array.dtype} of shape {array.shape}"
            )
        whole = np.array([[0, 0, array.size]])
        return cls([array], whole, digest=digest_of(array), highest=int(array.max()))

    def __len__(self) -> int:
        """How many tokens there are."""
        return int(self._starts[-1])

    def read(self, start: int, stop: int) -> NDArray[np.int32]:
        """The tokens from ``start`` up to ``stop``, or to the end if that comes first: a copy."""
        out = np.empty(max(min(stop, len(self)) - start, 0), np.int32)
        piece, done = int(np.searchsorted(self._starts, start, "right")) - 1, 0
        while done < out.size:
            number, first, end = self._pieces[piece]
            first = first + start + done - self._starts[piece]
            part = self._arrays[number][first : min(end, first + out.size - done)]
            out[done : done + part.size] = part
            piece, done = piece + 1, done + part.size
        return out
