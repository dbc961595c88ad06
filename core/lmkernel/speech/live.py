"""Captions of a sound that is still going on.

What was heard so far is heard again as it grows, and a part is settled when it was heard twice in
the same words (arXiv:2307.14743, §3, with parts in place of words), or where a window is full. What
is settled is left behind, so that memory does not grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError, shown
from lmkernel.speech.features import one_window
from lmkernel.speech.segments import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from lmkernel.speech.outcome import Attempt, Segment
    from lmkernel.speech.segments import Part
    from lmkernel.speech.transcriber import Transcriber

__all__ = ["Caption", "Captions"]


@final
@dataclass(frozen=True)
class Caption:
    """A part of what is being spoken.

    Args:
        segment: its text and times.
        settled: whether it stays as it is.
        heard: seconds of the sound that had come when this was said.
    """

    segment: Segment
    settled: bool
    heard: float

    @property
    def delay(self) -> float:
        """Seconds of the sound between the end of the part and this."""
        return self.heard - self.segment.end

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        numbers = {"heard": round(self.heard, 3), "delay": round(self.delay, 3)}
        return {**self.segment.json(), **numbers}


@final
class Captions:
    """Listens to a sound as it comes.

    Args:
        transcriber: a model, and how it is asked; it writes times.
        every: seconds of sound between two attempts.

    Raises:
        InputError: a time that makes no sense.
    """

    def __init__(self, transcriber: Transcriber, *, every: float = 1.0) -> None:
        self._transcriber, self._settings = transcriber, transcriber.settings
        if not 0 < every <= self._settings.seconds:
            raise InputError(
                f"every: expected above 0 and at most {self._settings.seconds} s, "
                f"got {shown(every)}"
            )
        self._every = round(every * self._settings.rate)
        self._kept: NDArray[np.float32] = np.empty(0, np.float32)
        self._first = 0
        self._before: list[tuple[int, ...]] = []
        self._prefix: list[int] = []
        self._written = [*transcriber.prompt]
        self._latest: Attempt | None = None

    def hear(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[Caption]:
        """Captions of samples ``(count,)`` at the model's rate, as they come.

        Those that are not settled are said again in other words, perhaps; those that are come once.
        """
        new = 0
        for block in blocks:
            self._kept = np.concatenate([self._kept, block])
            new += len(block)
            while len(self._kept) >= self._settings.samples:
                yield from self._attempt(self._settings.samples, last=False)
            if new >= self._every:
                new = 0
                yield from self._attempt(len(self._kept), last=False)
        while len(self._kept):
            yield from self._attempt(min(len(self._kept), self._settings.samples), last=True)

    def _attempt(self, count: int, *, last: bool) -> Iterator[Caption]:
        """What is heard in the first samples that are kept."""
        if not count:
            return
        settings, hop = self._settings, self._settings.hop
        heard = (self._first + len(self._kept)) / settings.rate
        frames = -(-count // hop)
        parts, step = self._parts(self._kept[:count], frames)
        finished = parts
        if not last and count < settings.samples:
            step, finished = self._agreed(parts, frames)
        for part in parts[: len(finished)]:
            self._remember(part)
            yield Caption(self._segment(part, heard), settled=True, heard=heard)
        for part in parts[len(finished) :]:
            yield Caption(self._segment(part, heard), settled=False, heard=heard)
        self._before = [part.tokens for part in parts[len(finished) :]]
        done = min(step * hop, count)
        self._kept, self._first = self._kept[done:], self._first + done

    def _remember(self, part: Part) -> None:
        """Keep what was written so far as it may be told again, so that memory does not grow."""
        new = self._transcriber.tokens.without_second_time(part.tokens)
        self._written = self._transcriber.context([*self._written, *new])[1:]

    def _agreed(self, parts: list[Part], frames: int) -> tuple[int, list[Part]]:
        """The first parts that were heard before in the same words, and the frames they take.

        One that ends where the sound does goes on, perhaps.
        """
        found: list[Part] = []
        ended = frames - self._every / self._settings.hop / 2
        for part, before in zip(parts, self._before, strict=False):
            if self._words(part.tokens) != self._words(before) or 2 * part.end > ended:
                break
            found.append(part)
        return (round(2 * found[-1].end) if found else 0), found

    def _words(self, tokens: tuple[int, ...]) -> list[int]:
        return [token for token in tokens if token < self._transcriber.tokens.last_text]

    def _parts(self, samples: NDArray[np.float32], frames: int) -> tuple[list[Part], int]:
        transcriber = self._transcriber
        memory = transcriber.hearing.encode(one_window(samples, self._settings)[None])
        if not self._prefix:
            self._prefix = transcriber.prefix(transcriber.language_of(memory))
        context = transcriber.context(transcriber.text_before(self._written, self._latest))
        heard, self._latest = transcriber.heard(memory, context, self._prefix)
        return transcriber.parts_of(heard, Window(0, frames))

    def _segment(self, part: Part, heard: float) -> Segment:
        """A part with times from the beginning of the sound."""
        steps = self._first / (2 * self._settings.hop)
        moved = type(part)(part.begin + steps, part.end + steps, part.tokens)
        return self._transcriber.segment(moved, heard)
