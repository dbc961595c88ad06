"""Text infilling, as BART is pre-trained: a mask for each hidden span, and all of it said again."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Unpack, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.training.data.denoising import DenoisedWindows, partition, tokens_around

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.training.data.batches import Cut
    from lmkernel.training.data.denoising import Ids, Marks
    from lmkernel.training.data.tokens import Tokens

__all__ = ["TextInfilling"]


@final
class TextInfilling(DenoisedWindows):
    """A mask in place of each span, and the whole window said again (BART, arXiv:1910.13461 §2.2).

    Of a window's tokens ``share`` are hidden, in spans whose lengths are Poisson with mean
    ``mean``, at places that are a random partition. A span of length 0 puts a mask between two
    tokens; there are no more of these than keep the window in its context. Sentences stay in order.

    Args:
        tokens, marks, vocab, cut: see `DenoisedWindows`.
        mask: the id that takes the place of a span.
        share: which part of the tokens is hidden, in (0, 1).
        mean: tokens of a span, on average.

    Raises:
        InputError: a mask outside the vocabulary, or what `DenoisedWindows` raises.
    """

    def __init__(
        self,
        tokens: Tokens,
        marks: Marks,
        *,
        mask: int,
        share: float = 0.3,
        mean: float = 3.0,
        vocab: int,
        **cut: Unpack[Cut],
    ) -> None:
        if mask >= vocab:
            raise InputError(f"expected a mask in 0 … {vocab - 1}, got {mask}")
        self._mask, self._share, self._mean = np.array([mask], np.int32), share, mean
        self._table = _poisson(mean)
        room = cut["context"] - tokens_around(marks)
        super().__init__(tokens, room, marks, vocab=vocab, **cut)

    def corrupt(self, window: Ids, draws: NDArray[np.float64]) -> tuple[Ids, Ids]:
        """Masks in place of the spans; then the window."""
        lengths = self._lengths(window.size, draws[: window.size])
        seen = window.size - int(lengths.sum())
        # a gap before, between and after spans may be empty: each is a part of one more, less one
        gaps = partition(seen + len(lengths) + 1, len(lengths) + 1, draws[window.size :]) - 1
        pieces: list[Ids] = []
        place = 0
        for gap, length in zip(gaps, [*lengths, 0], strict=True):
            pieces += [window[place : place + gap], self._mask]
            place += gap + length
        return np.concatenate(pieces[:-1]), window

    def _lengths(self, size: int, draws: NDArray[np.float64]) -> NDArray[np.int64]:
        """Those of the spans: drawn until they hide the share, the last cut to it."""
        wanted = int(np.ceil(size * self._share))
        drawn = np.searchsorted(self._table, draws, side="right")
        hidden = np.minimum(np.cumsum(drawn), wanted)
        lengths = np.diff(hidden[: int(np.searchsorted(hidden, wanted)) + 1], prepend=0)
        # each inserted mask makes the window longer by one, each span shorter by all but one
        room = int(np.maximum(lengths - 1, 0).sum())
        return np.delete(lengths, np.flatnonzero(lengths == 0)[room:])

    def _own_parts(self) -> list[float]:
        return [self._share, self._mean, float(self._mask[0])]


def _poisson(mean: float) -> NDArray[np.float64]:
    """The probabilities of at most 0, 1, … as far as doubles tell them from their sum."""
    # in decimals, whose exponential is rounded correctly: no library's can move a draw
    term = float(Decimal(-mean).exp())
    found = [term]
    while found[-1] + (term := term * mean / len(found)) > found[-1]:
        found.append(found[-1] + term)
    return np.array(found)
