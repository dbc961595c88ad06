"""What a run says of itself while it goes on: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, final

from lmkernel.progress import new_bar
from lmkernel.training.run.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.progress import Progress
    from lmkernel.training.run.meter import Workload

__all__ = ["Display"]

_EVALUATION = "validation/"
_BAR_SECONDS, _LINE_SECONDS = 0.1, 10.0
"""Between two states that are shown, at least."""


@final
class Display(AbstractContextManager["Display"]):
    """Shows a run; a context manager that closes it.

    A function that `progress` reports to is called after every step, with ``"training"``.

    Args:
        work: what is to be done.
        progress: where it is shown.
        clock: seconds from any moment on.
    """

    def __init__(
        self, work: Workload, progress: Progress, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._total, self._progress, self._clock = work.total, progress, clock
        self._meter = Meter(work, clock)
        self._bar = _open_bar(work, progress) if progress.live else None
        self._shown = self._step = work.start
        self._next = clock()

    def update(self, step: int, values: Mapping[str, float]) -> None:
        """To be called right after each step, and right after each evaluation.

        Args:
            step: how many steps were taken.
            values: ``"train/loss"``, ``"train/rate"`` and ``"train/tokens"`` (of this step), or
                the metrics of an evaluation, by names that begin with ``"validation/"``.
        """
        if any(name.startswith(_EVALUATION) for name in values):
            self._meter.note_pause()
            self.say(f"step {step}/{self._total}: validation {_describe(values)}")
            return
        self._meter.step(step, values)
        self._step = step
        if self._progress.report is not None:
            self._progress.report("training", step, self._total)
        elif self._clock() >= self._next:
            self._show()

    def say(self, line: str) -> None:
        """One line that stays."""
        self._progress.say(line)

    def pause(self) -> AbstractContextManager[None]:
        """Around work besides steps and evaluations, such as a checkpoint: no part of the speed."""
        return self._meter.pause()

    def close(self) -> None:
        """Show the last step; what is written next begins on a line of its own."""
        if self._step > self._shown and self._progress.report is None:
            self._show()
        if self._bar is not None:
            self._bar.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _show(self) -> None:
        if self._bar is None:
            self.say(f"step {self._step}/{self._total}: {self._meter.describe()}")
        else:
            self._bar.n = self._step
            self._bar.set_description_str(self._meter.describe())
        seconds = _LINE_SECONDS if self._bar is None else _BAR_SECONDS
        self._shown, self._next = self._step, self._clock() + seconds


def _open_bar(work: Workload, progress: Progress) -> Any:
    return new_bar(
        progress.stream,
        total=work.total,
        initial=work.start,
        bar_format="step {n}/{total} {bar:20} {desc}",
    )


def _describe(values: Mapping[str, float]) -> str:
    """``loss 3.1021, bits per byte 1.5000``."""
    words = {name.rpartition("/")[2].replace("_", " "): value for name, value in values.items()}
    return ", ".join(f"{word} {value:.4f}" for word, value in words.items())
