"""The learning rate of each step, on the host in float64.

Constraint: steps count from 1, and the last one has the learning rate that the schedule falls to.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmkernel.training.config import ScheduleConfig

__all__ = ["learning_rate"]


def learning_rate(config: ScheduleConfig, step: int, steps: int) -> float:
    """The learning rate of step ``step`` in a run of ``steps``; ``rate`` is the highest.

    With warm-up over w steps, step s ≤ w has rate · s / w: step 1 has rate / w and step w
    has rate. Without, step 1 has rate. From step max(w, 1) on, ``"linear"`` and
    ``"cosine"`` (arXiv:1608.03983, eq. 5) fall to floor · rate at step ``steps``; ``"wsd"``
    (arXiv:2404.06395, §4) falls from step ``steps - cooldown`` on. Where rise and fall overlap,
    the lower one holds; steps after the last are as the last.
    """
    step = min(step, steps)
    rise = min(1.0, step / config.warmup) if config.warmup else 1.0
    return config.rate * min(rise, _fall(config, step, steps))


def _fall(config: ScheduleConfig, step: int, steps: int) -> float:
    """The share of the highest learning rate that is left."""
    if config.kind == "constant":
        return 1.0
    peak = steps - config.cooldown if config.kind == "wsd" else max(config.warmup, 1)
    # how much of the fall is done; it may be over no step at all
    x = max((step - peak) / (steps - peak), 0.0) if steps > peak else 0.0
    left = (1 + math.cos(math.pi * x)) / 2 if config.kind == "cosine" else 1 - x
    return config.floor + (1 - config.floor) * left
