"""What a training step costs, and how fast a run takes its steps.

Constraint: speed is that of steps. The first one, in which a backend compiles, and pauses for
evaluations and checkpoints are left out of it; the time left counts the pauses in.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from lmkernel.machine import current_memory, peak_memory
from lmkernel.progress import duration
from lmkernel.results import human_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Meter", "Workload", "flops_per_token"]

_DECAY = 0.9
_STEPS = 50


def flops_per_token(parameters: int, layers: int, width: int, context: int) -> float:
    """Floating-point operations of one training step for each token: 6·N + 12·L·D·T.

    A product and a sum for each parameter, once forward and twice backward, and the two products
    of attention over the whole context, masked or not.

    Source: arXiv:2204.02311, appendix B.

    Args:
        parameters: N, all that take part in products.
        layers: L, those with attention.
        width: D, of queries and keys, all heads together.
        context: T, positions that each token attends over.
    """
    return 6.0 * parameters + 12.0 * layers * width * context


@final
@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is to be done, and what it costs.

    Args:
        total: steps of the whole run.
        start: steps that were taken before.
        flops_per_token: see `flops_per_token`; 0 if it is not known.
        peak: operations a second that the machine can do, see `machine.peak_flops`; 0 likewise.
    """

    total: int
    start: int = 0
    flops_per_token: float = 0.0
    peak: float = 0.0


@final
class Meter:
    """Takes the numbers of each step, and times them; what is not known, yet or ever, is None.

    Args:
        work: what is to be done.
        clock: seconds from any moment on.
    """

    def __init__(self, work: Workload, clock: Callable[[], float] = time.perf_counter) -> None:
        self._work = work
        self._clock = clock
        self._step = work.start
        self._sum = self._weight = 0.0
        self._recent: deque[tuple[float, float]] = deque(maxlen=_STEPS)  # seconds, tokens
        self._pauses, self._mark = 0.0, clock()
        self.learning_rate: float | None = None

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Note a step that ended now: ``"train/loss"``, ``"train/rate"``, ``"train/tokens"``."""
        seconds = self._since_mark()
        if self._step > self._work.start:  # not the first
            self._recent.append((seconds, values.get("train/tokens", 0.0)))
        self._step = step
        self.learning_rate = values.get("train/rate", self.learning_rate)
        if "train/loss" in values:
            self._sum = _DECAY * self._sum + values["train/loss"]
            self._weight = _DECAY * self._weight + 1

    def note_pause(self) -> None:
        """Note that no step was going on since the last one ended."""
        self._pauses += self._since_mark()

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Around work besides the steps."""
        yield
        self.note_pause()

    @property
    def loss(self) -> float | None:
        """Running mean of the loss, each step weighing 0.9 of the next."""
        # divided by the sum of the weights, as a mean that starts at 0 is too low at first
        return self._sum / self._weight if self._weight else None

    @property
    def speed(self) -> float | None:
        """Tokens a second over the last 50 steps."""
        seconds = sum(seconds for seconds, _ in self._recent)
        tokens = sum(tokens for _, tokens in self._recent)
        return tokens / seconds if tokens and seconds > 0 else None

    @property
    def share(self) -> float | None:
        """Of the machine's peak.

        None where it would be more than that: a peak that was measured beside another program.
        """
        each, peak = self._work.flops_per_token, self._work.peak
        share = each * self.speed / peak if each and peak and self.speed else None
        return share if share is None or share <= 1 else None

    @property
    def left(self) -> float | None:
        """Seconds."""
        if not self._recent:
            return None
        done = self._step - self._work.start
        each = sum(seconds for seconds, _ in self._recent) / len(self._recent)
        return (each + self._pauses / done) * max(self._work.total - self._step, 0)

    def describe(self) -> str:
        """All that is known in words, what matters most first: a narrow terminal cuts the end."""
        memory, peak = current_memory(), peak_memory()
        texts = (
            None if self.loss is None else f"loss {self.loss:.4f}",
            f"{duration(self.left)} left" if self.left else None,
            f"{self.speed:,.0f} tokens/s" if self.speed else None,
            f"{self.share:.0%} of peak" if self.share else None,
            None if self.learning_rate is None else f"learning rate {self.learning_rate:.2e}",
            f"memory {human_size(memory)}" if memory else None,
            f"at most {human_size(peak)}" if peak else None,
        )
        return ", ".join(text for text in texts if text is not None)

    def _since_mark(self) -> float:
        before, self._mark = self._mark, self._clock()
        return self._mark - before
