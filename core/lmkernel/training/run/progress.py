"""What a run says of itself while it goes on: a live block on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Self, TextIO, final

from lmkernel.training.run.meter import Meter, Workload
from lmkernel.training.run.readings import evaluation_text
from lmkernel.training.run.surfaces import Block, Lines, Nothing, Surface

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

__all__ = ["Display", "Workload", "open_display"]

EVALUATION = "validation/"


@final
class Display:
    """Shows a run; a context manager that closes it.

    Args:
        work: what is to be done.
        surface: what it is shown on.
        clock: seconds from any moment on.
    """

    def __init__(
        self, work: Workload, surface: Surface, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._total, self._surface, self._clock = work.total, surface, clock
        self._meter = Meter(work, clock)
        self._shown = self._step = work.start
        self._next = clock()

    def update(self, step: int, values: Mapping[str, float]) -> None:
        """To be called right after each step, and right after each evaluation.

        Args:
            step: how many steps were taken.
            values: ``"train/loss"``, ``"train/rate"`` and ``"train/tokens"`` (of this step), or
                what was evaluated, by names that begin with ``"validation/"``.
        """
        if any(name.startswith(EVALUATION) for name in values):
            self._meter.pause()
            self._surface.say(evaluation_text(step, self._total, values))
            return
        self._meter.step(step, values)
        self._step = step
        if self._clock() >= self._next:
            self._show()

    def say(self, line: str) -> None:
        """One line that stays."""
        self._surface.say(line)

    def paused(self) -> AbstractContextManager[None]:
        """Around work besides steps and evaluations, such as a checkpoint: no part of the speed."""
        return self._meter.paused()

    def close(self) -> None:
        """Show the last step; what is written next begins on a line of its own."""
        if self._step > self._shown:
            self._show()
        self._surface.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _show(self) -> None:
        self._surface.show(self._total, self._meter.reading())
        self._shown, self._next = self._step, self._clock() + self._surface.interval


def open_display(work: Workload, stream: TextIO | None) -> Display:
    """The display that fits a stream, usually standard error; None shows nothing."""
    if stream is None:
        return Display(work, Nothing())
    live = stream.isatty() and os.environ.get("TERM") != "dumb"
    return Display(work, Block(stream) if live else Lines(stream))
