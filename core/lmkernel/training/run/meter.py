"""What a display shows of a run, computed from steps as they come.

Constraint: speed is that of steps. The first one, in which a backend compiles, and pauses for
evaluations and checkpoints are left out of it, and pauses counted into the time that is left.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from lmkernel.training.run.memory import current_memory, peak_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Meter", "Reading", "Workload"]

_DECAY = 0.9
_STEPS = 50


@final
@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is to be done, and what it costs.

    Args:
        total: steps of the whole run.
        start: steps that were taken before.
        flops_per_token: see `flops.flops_per_token`; 0 if it is not known.
        peak: operations a second that the machine can do, see `flops.peak_flops`; 0 likewise.
    """

    total: int
    start: int = 0
    flops_per_token: float = 0.0
    peak: float = 0.0


@final
@dataclass(frozen=True, kw_only=True)
class Reading:
    """The state of a run at a step; None is what is not known yet, or never.

    Args:
        loss: running mean of ``"train/loss"``, each step weighing 0.9 of the next.
        rate: the last ``"train/rate"``.
        speed: tokens a second over the last 50 steps.
        share: of the machine's peak.
        left: seconds.
        memory, peak_memory: resident bytes, now and at most.
    """

    step: int
    loss: float | None
    rate: float | None
    speed: float | None
    share: float | None
    left: float | None
    memory: int | None
    peak_memory: int | None


@final
class Meter:
    """Takes the numbers of each step, and times them.

    Args:
        work: what is to be done.
        clock: seconds from any moment on.
    """

    def __init__(self, work: Workload, clock: Callable[[], float] = time.perf_counter) -> None:
        self.work = work
        self._clock = clock
        self._step = work.start
        self._rate: float | None = None
        self._sum = self._weight = 0.0
        self._recent: deque[tuple[float, float]] = deque(maxlen=_STEPS)  # seconds, tokens
        self._pauses, self._mark = 0.0, clock()

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Note a step that ended now: ``"train/loss"``, ``"train/rate"``, ``"train/tokens"``."""
        seconds = self._since_mark()
        if self._step > self.work.start:  # not the first
            self._recent.append((seconds, values.get("train/tokens", 0.0)))
        self._step = step
        self._rate = values.get("train/rate", self._rate)
        if "train/loss" in values:
            self._sum = _DECAY * self._sum + values["train/loss"]
            self._weight = _DECAY * self._weight + 1

    def pause(self) -> None:
        """Note that no step was going on since the last one ended."""
        self._pauses += self._since_mark()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Work besides the steps, done when the block ends."""
        yield
        self.pause()

    def reading(self) -> Reading:
        """What is known now."""
        speed = self._speed()
        per_second = self.work.flops_per_token * speed if speed else 0.0
        return Reading(
            step=self._step,
            loss=self._sum / self._weight if self._weight else None,
            rate=self._rate,
            speed=speed,
            share=per_second / self.work.peak if self.work.peak and per_second else None,
            left=self._left(),
            memory=current_memory(),
            peak_memory=peak_memory(),
        )

    def _since_mark(self) -> float:
        before, self._mark = self._mark, self._clock()
        return self._mark - before

    def _speed(self) -> float | None:
        seconds = sum(seconds for seconds, _ in self._recent)
        tokens = sum(tokens for _, tokens in self._recent)
        return tokens / seconds if tokens and seconds > 0 else None

    def _left(self) -> float | None:
        if not self._recent:
            return None
        done = self._step - self.work.start
        each = sum(seconds for seconds, _ in self._recent) / len(self._recent)
        return (each + self._pauses / done) * max(self.work.total - self._step, 0)
