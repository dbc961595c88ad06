"""From a prompt's tokens to streamed text, which ends before a stop string."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["TextGeneration"]


@final
class TextGeneration:
    """An answer as it comes: iterate over its pieces of text, once.

    Args:
        tokens: the ids, one at a time.
        tokenizer: decodes them.
        stop: the text ends before any of these.
        end_ids: ids that end it, whose text is not given.

    Attributes:
        text: what was given so far.
        tokens: the ids so far, the ending one included.
        finish_reason: ``"stop"`` (the model's end, or a stop string), ``"length"``, or ``""`` while
            it goes on or when it was interrupted.
        seconds: from the first request to the last token.
    """

    def __init__(
        self,
        tokens: Generator[int, None, None] | Iterator[int],
        tokenizer: Tokenizer,
        *,
        stop: Sequence[str] = (),
        end_ids: Iterable[int] = (),
    ) -> None:
        self.text = ""
        self.tokens: list[int] = []
        self.finish_reason = ""
        self.seconds = 0.0
        self._source = tokens
        self._stream = tokenizer.stream()
        self._stop = tuple(stop)
        self._ends = frozenset(end_ids)
        self._held = ""
        self._begun = time.perf_counter()

    def __iter__(self) -> Iterator[str]:
        self._begun = time.perf_counter()
        ended = False
        for token in self._source:
            self.tokens.append(token)
            self.seconds = time.perf_counter() - self._begun
            ended = token in self._ends
            if ended:
                break
            yield from self._given(self._stream.push(token))
            if self.finish_reason:
                return
        yield from self._given(self._stream.finish(), last=True)
        self.finish_reason = self.finish_reason or ("stop" if ended else "length")

    def _given(self, piece: str, *, last: bool = False) -> Iterator[str]:
        """What of the text so far can be no part of a stop string; all of it at the end."""
        self._held += piece
        found = [at for at in (self._held.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self._held = self._held[: min(found)]
            self.finish_reason = "stop"
        keep = 0 if found or last else _overlap(self._held, self._stop)
        ready = self._held[: len(self._held) - keep]
        self._held = self._held[len(ready) :]
        self.text += ready
        if ready:
            yield ready


def _overlap(text: str, stops: Sequence[str]) -> int:
    """The length of the longest end of ``text`` that begins a stop string."""
    longest = max((len(stop) - 1 for stop in stops), default=0)
    for size in range(min(longest, len(text)), 0, -1):
        if any(stop.startswith(text[-size:]) for stop in stops):
            return size
    return 0
