"""Span corruption, as T5 is pre-trained: each hidden span is said after its sentinel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.training.data.denoising import LEAST, DenoisedWindows, partition, tokens_around

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.tokenizers import Tokenizer
    from lmkernel.training.data.batches import Cut
    from lmkernel.training.data.denoising import Ids, Marks
    from lmkernel.training.data.tokens import Tokens

__all__ = ["SENTINELS", "SpanCorruption", "sentinel_ids"]

SENTINELS = tuple(f"<extra_id_{number}>" for number in range(100))
"""The tokens that stand for a hidden span, in the order of the spans (T5's vocabularies)."""


def sentinel_ids(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The ids of `SENTINELS` in a vocabulary, up to the first that it has not.

    mT5's SentencePiece model has them as pieces of words, with a mark of a space before them.
    """
    found = []
    for token in SENTINELS:
        number = tokenizer.token_id(token)
        if number is None:
            number = tokenizer.token_id(f"▁{token}")
        if number is None:
            break
        found.append(number)
    return tuple(found)


@final
class SpanCorruption(DenoisedWindows):
    """Spans are hidden, and said again (T5, arXiv:1910.10683 §3.1.4).

    Of a window's tokens ``share`` are hidden, in spans of ``mean`` tokens on average whose places
    and lengths are a random partition. The encoder sees a sentinel for each; the decoder says each
    sentinel and what it hides.

    Args:
        tokens, marks, vocab, cut: see `DenoisedWindows`; windows are as long as the context allows.
        sentinels: their ids, in order.
        share: which part of the tokens is hidden, in (0, 1).
        mean: tokens of a span, on average.

    Raises:
        InputError: too few sentinels for so long a window, or what `DenoisedWindows` raises.
    """

    def __init__(
        self,
        tokens: Tokens,
        marks: Marks,
        *,
        sentinels: Sequence[int],
        share: float = 0.15,
        mean: float = 3.0,
        vocab: int,
        **cut: Unpack[Cut],
    ) -> None:
        self._sentinels = np.array(sentinels, np.int32)
        self._share, self._mean = share, mean
        room = self._longest(cut["context"] - tokens_around(marks))
        needed = self._counts(room)[1]
        if needed > len(sentinels):
            raise InputError(
                f"expected {needed} sentinels such as {SENTINELS[0]} for the spans of a context of "
                f"{cut['context']}, got a tokenizer with {len(sentinels)}"
            )
        if max(sentinels, default=0) >= vocab:
            raise InputError(f"expected sentinels in 0 … {vocab - 1}, got {max(sentinels)}")
        super().__init__(tokens, room, marks, vocab=vocab, **cut)

    def _counts(self, length: int) -> tuple[int, int]:
        """How many tokens of a window are hidden, and in how many spans."""
        if length < LEAST:
            return 0, 0
        hidden = min(max(round(length * self._share), 1), length - 1)
        return hidden, min(max(round(hidden / self._mean), 1), length - hidden)

    def _longest(self, room: int) -> int:
        """The longest window of which both sides fit into so many tokens."""
        length = room
        while self._seen(length + 1) <= room:
            length += 1
        while length > 0 and sum(self._counts(length)) > room:
            length -= 1
        return length

    def _seen(self, length: int) -> int:
        """How many tokens the encoder sees of a window: what is left, and a sentinel a span."""
        hidden, spans = self._counts(length)
        return length - hidden + spans

    def corrupt(self, window: Ids, draws: NDArray[np.float64]) -> tuple[Ids, Ids]:
        """Sentinels in place of the spans; then each with its span."""
        hidden, spans = self._counts(window.size)
        if not spans:
            return window, window[:0]
        lengths = np.empty(2 * spans, np.int64)
        # what is seen and what is hidden take turns, what is seen first
        lengths[0::2] = partition(window.size - hidden, spans, draws[: window.size])
        lengths[1::2] = partition(hidden, spans, draws[window.size :])
        pieces = np.split(window, np.cumsum(lengths)[:-1])
        marks = self._sentinels[:spans, None]
        seen = [part for pair in zip(pieces[0::2], marks, strict=True) for part in pair]
        said = [part for pair in zip(marks, pieces[1::2], strict=True) for part in pair]
        return np.concatenate(seen), np.concatenate(said)

    def _own_parts(self) -> list[float]:
        return [self._share, self._mean, *map(float, self._sentinels)]
