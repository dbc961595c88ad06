"""Where a display shows: a block on a terminal, lines on any other stream, or nowhere."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TextIO, final

from lmkernel.cli.style import paint
from lmkernel.training.run.readings import cost_texts, left_text, loss_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.training.run.meter import Reading

__all__ = ["Block", "Lines", "Nothing", "Surface"]

_BAR = 24


class Surface(ABC):
    """Shows readings and lines."""

    @property
    @abstractmethod
    def interval(self) -> float:
        """Seconds between two readings, at least."""

    @abstractmethod
    def show(self, total: int, reading: Reading) -> None:
        """The state at a step of so many."""

    @abstractmethod
    def say(self, line: str) -> None:
        """One line that stays."""

    @abstractmethod
    def close(self) -> None:
        """What comes next begins on a line of its own."""


@final
class Nothing(Surface):
    """Keeps silent."""

    interval = float("inf")

    def show(self, total: int, reading: Reading) -> None:
        """Nothing."""

    def say(self, line: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


@final
class Lines(Surface):
    """A line for each reading."""

    interval = 10.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, total: int, reading: Reading) -> None:
        """A line."""
        texts = [*loss_text(reading), *cost_texts(reading), *left_text(reading)]
        self.say(f"step {reading.step}/{total}: {', '.join(texts)}")

    def say(self, line: str) -> None:
        """A line."""
        print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """All lines have ended."""


@final
class Block(Surface):
    """Two lines that are drawn over and over, below the lines that stay.

    Source: ECMA-48 for the control sequences: CUU (``A``), ED (``J``).
    """

    interval = 0.1

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._block = ""
        self._full, self._rest = _signs(stream)

    def show(self, total: int, reading: Reading) -> None:
        """Draw the block."""
        width = max(_columns(self._stream) - 1, 1)  # a full line would wrap on some terminals
        step = f"step {reading.step}/{total}"[:width]
        rest = _fitting([*loss_text(reading), *left_text(reading)], width - len(step) - 2)
        room = min(_BAR, width - len(step) - len(rest) - 4)
        first = (step, self._bar(reading.step / total, room), rest)
        second = _fitting(cost_texts(reading), width)
        self._draw("", "  ".join(part for part in first if part) + "\n" + second)

    def say(self, line: str) -> None:
        """Put the line above the block."""
        self._draw(line + "\n", self._block)

    def close(self) -> None:
        """Leave the block where it is."""
        self._draw("", self._block and self._block + "\n")
        self._block = ""

    def _draw(self, above: str, block: str) -> None:
        over = "\r\x1b[A\x1b[J" if self._block else ""
        self._stream.write(over + above + block)
        self._stream.flush()
        self._block = block

    def _bar(self, share: float, room: int) -> str:
        if room < 1:
            return ""
        full = round(min(share, 1.0) * room)
        rest = paint(self._rest * (room - full), "dim", self._stream)
        return paint(self._full * full, "green", self._stream) + rest


def _fitting(texts: Sequence[str], width: int) -> str:
    """As many of the texts as a line holds."""
    line = ""
    for text in texts:
        longer = f"{line}  {text}" if line else text
        if len(longer) > width:
            break
        line = longer
    return line


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns


def _signs(stream: TextIO) -> tuple[str, str]:
    """What the bar is made of: lines, or plain signs where the encoding has no lines."""
    try:
        "━".encode(getattr(stream, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return "#", "-"
    return "━", "─"
