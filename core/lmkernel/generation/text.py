"""Generated text: streamed or taken whole, and cut before a stop string."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import InputError
from lmkernel.results import counted
from lmkernel.tokenizers.stream import TextStream, overlap

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["Scored", "TextGeneration"]

Scored = tuple[int, float]
"""A token's id and its log-probability under the model."""


@final
class TextGeneration:
    """An answer.

    Iterating streams its pieces of text as they are generated; ``str(answer)`` and the other
    properties run the generation to its end first. The text is kept, so the answer can be iterated
    over again. An answer that an error or an interrupt stopped says so whenever it is asked for
    more, by `InputError`.

    Args:
        tokens: ids with their log-probabilities, one at a time.
        tokenizer: the tokenizer that decodes them.
        stop: strings before which the text ends.
        end_ids: ids that end the text and are not part of it.
        prompt: ids of the text that it continues, so that both together read as all ids do: a
            tokenizer of words may write the space between them.
        shown: special tokens whose text is part of the answer's.
    """

    def __init__(
        self,
        tokens: Iterable[Scored],
        tokenizer: Tokenizer,
        *,
        stop: Sequence[str] = (),
        end_ids: Iterable[int] = (),
        prompt: Sequence[int] = (),
        shown: Collection[int] = (),
    ) -> None:
        self._source = iter(tokens)
        self._stream = _stream(tokenizer, prompt, shown)
        self._stop = tuple(stop)
        self._ends = frozenset(end_ids)
        self._scored: list[Scored] = []
        self._pieces: list[str] = []
        self._held = ""
        self._reason = ""
        self._seconds = 0.0
        self._failure: BaseException | None = None

    @property
    def text(self) -> str:
        """All of its text."""
        return self._run().so_far

    @property
    def tokens(self) -> list[int]:
        """The ids of all tokens, the ending one included."""
        return [token for token, _ in self._run()._scored]  # noqa: SLF001 - its own

    @property
    def log_probs(self) -> list[float]:
        """The natural log-probability of each token under the model, before temperature."""
        return [log_prob for _, log_prob in self._run()._scored]  # noqa: SLF001 - its own

    @property
    def finish_reason(self) -> str:
        """``"stop"`` (the model's own end, or a stop string) or ``"length"``."""
        return self._run()._reason  # noqa: SLF001 - its own

    @property
    def seconds(self) -> float:
        """Time from the first request to the last token."""
        return self._run()._seconds  # noqa: SLF001 - its own

    def json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "text": self.text,
            "tokens": self.tokens,
            "log_probs": self.log_probs,
            "finish_reason": self.finish_reason,
            "seconds": round(self.seconds, 3),
        }

    @property
    def finished(self) -> bool:
        """Whether the answer is complete; generates nothing."""
        return bool(self._reason)

    @property
    def so_far(self) -> str:
        """The text that has been generated until now; generates nothing."""
        return "".join(self._pieces)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        if not self._scored and not self._reason:
            return "TextGeneration(not begun; str() runs it, iterating streams it)"
        state = self._reason or "not finished"
        return f"TextGeneration({self.so_far!r}, {counted(len(self._scored), 'token')}, {state})"

    def __iter__(self) -> Iterator[str]:
        given = 0
        while True:
            while given < len(self._pieces):
                yield self._pieces[given]
                given += 1
            if self._reason:
                return
            self._advance()

    def push(self, token: int, log_prob: float, *, seconds: float = 0.0) -> bool:
        """Take one more token, and the time that it took; returns whether the answer ends there."""
        self._seconds += seconds
        self._scored.append((token, log_prob))
        if token in self._ends:
            self._finish("stop")
        else:
            self._take(self._stream.push(token))
        return bool(self._reason)

    def close(self) -> None:
        """End the answer: there are no more tokens."""
        if not self._reason:
            self._finish("length")

    def _run(self) -> TextGeneration:
        while not self._reason:
            self._advance()
        return self

    def _advance(self) -> None:
        """One token more, or the end."""
        # a generator that failed has no more tokens either, and its text is not complete
        if self._failure is not None:
            raise InputError(
                f"this answer stopped after {counted(len(self._scored), 'token')}, by "
                f"{self._failure!r:.200}; `so_far` has its text until then; generate it again"
            ) from self._failure
        begun = time.perf_counter()
        try:
            scored = next(self._source, None)
        except BaseException as error:
            self._failure = error
            raise
        self._seconds += time.perf_counter() - begun
        if scored is None:
            self.close()
        else:
            self.push(*scored)

    def _finish(self, reason: str) -> None:
        self._take(self._stream.finish(), last=True)
        self._reason = self._reason or reason

    def _take(self, piece: str, *, last: bool = False) -> None:
        """Pass on the text that cannot be part of a stop string; at the end, all of it."""
        self._held += piece
        found = [at for at in (self._held.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self._held = self._held[: min(found)]
            self._reason = "stop"
        keep = 0 if found or last else overlap(self._held, self._stop)
        ready = self._held[: len(self._held) - keep]
        self._held = self._held[len(ready) :]
        if ready:
            self._pieces.append(ready)


def _stream(tokenizer: Tokenizer, before: Sequence[int], shown: Collection[int]) -> TextStream:
    """Text as it comes, without special tokens but those that are shown."""
    if not shown:
        return tokenizer.stream(before=before)
    hidden = tokenizer.special_ids - frozenset(shown)

    def decode(ids: Sequence[int]) -> str:
        return tokenizer.decode((one for one in ids if one not in hidden), skip_special=False)

    return TextStream(decode, before)
