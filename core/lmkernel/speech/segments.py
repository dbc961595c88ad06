"""From the tokens of a window to the parts that were spoken, with their times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.speech.outcome import Attempt

__all__ = ["Part", "Window", "window_parts"]

_STRIDE = 2
"""Frames in a step of time, which is what the encoder makes one vector of."""


@final
@dataclass(frozen=True)
class Part:
    """What was spoken between two times.

    Args:
        begin: in steps from the beginning of the sound.
        end: the same.
        tokens: with those of its times.
        steps: when each token begins to be spoken, the same; empty where this is not asked for.
        attempt: how its window was heard, where that is told.
    """

    begin: float
    end: float
    tokens: tuple[int, ...]
    steps: tuple[float, ...] = ()
    attempt: Attempt | None = None


@final
@dataclass(frozen=True)
class Window:
    """Where a model listened.

    Args:
        first: its first frame.
        frames: how many frames of the sound it has.
    """

    first: int
    frames: int


def window_parts(tokens: Sequence[int], first_time: int, window: Window) -> tuple[list[Part], int]:
    """The parts that tokens tell, and how many frames the next window begins later.

    Two times beside each other end one part and begin the next one. What follows the last such pair
    is unfinished, and heard again in the next window, unless the tokens end in a single time, which
    says that nothing was spoken after it.

    Args:
        tokens: written of a window, without what a transcript begins and ends with.
        first_time: the token of time 0.
        window: where the model listened.
    """
    offset = window.first / _STRIDE
    times = [token >= first_time for token in tokens]
    borders = [i + 1 for i in range(len(times) - 1) if times[i] and times[i + 1]]
    if not borders:
        return _one_part(tokens, times, first_time, window)
    done = times[-2:] == [False, True]
    # the last part keeps the second time of its pair, or ends in the single one
    borders = [*borders, len(tokens)] if done else [*borders[:-1], borders[-1] + 1]
    parts, begin = [], 0
    for border in borders:
        part = tokens[begin:border]
        last = part[-1 if done or border != borders[-1] else -2]
        parts.append(Part(offset + part[0] - first_time, offset + last - first_time, tuple(part)))
        begin = border
    if done:
        return parts, window.frames
    return parts, (tokens[begin - 2] - first_time) * _STRIDE


def _one_part(
    tokens: Sequence[int], times: Sequence[bool], first_time: int, window: Window
) -> tuple[list[Part], int]:
    """All tokens are one part, which ends at the last time that is said, or with the window."""
    offset = window.first / _STRIDE
    said = [token for token, time in zip(tokens, times, strict=True) if time]
    length = window.frames // _STRIDE
    if said and said[-1] != first_time:
        length = said[-1] - first_time
    return [Part(offset, offset + length, tuple(tokens))], window.frames
