"""What every training worker shares: the task, the data, which steps count, one JSON line.

Constraints: token t comes about as often as 1 / (t + 1), so that there is something to learn, the
same for all. The clock starts with the batch on the host and stops with the loss on the host.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Tokens = NDArray[np.int32]

__all__ = ["Curve", "Task", "batches", "read_task", "report", "time_steps"]

UNCOUNTED = 2
"""The first step is a figure of its own; the second may still compile."""


@dataclass(frozen=True)
class Task:
    """What to train, as the driver wrote it.

    Args:
        variant: way of running, in the worker's own words.
        steps: number of timed steps, after those that compile.
        layers, hidden_size, heads, mlp_size, vocab: shape of the model.
        batch, time: number of rows, and tokens in each.
        learning_rate, beta1, beta2, eps, decay: settings of AdamW.
        clip: largest global norm of the gradient.
    """

    variant: str
    steps: int
    layers: int
    hidden_size: int
    heads: int
    mlp_size: int
    vocab: int
    batch: int
    time: int
    learning_rate: float
    beta1: float
    beta2: float
    eps: float
    decay: float
    clip: float


@dataclass
class Curve:
    """The seconds and the loss of each step."""

    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def read_task() -> Task:
    """Read the task from the first command-line argument."""
    return Task(**json.loads(sys.argv[1]))


def batches(task: Task) -> list[tuple[Tokens, Tokens]]:
    """Inputs and targets, ``(batch, time)`` each, of all steps."""
    count = task.steps + UNCOUNTED
    draws = np.random.default_rng(0).random((count, task.batch, task.time + 1))
    tokens = ((task.vocab + 1) ** draws - 1).astype(np.int32).clip(0, task.vocab - 1)
    return [(rows[:, :-1].copy(), rows[:, 1:].copy()) for rows in tokens]


def time_steps(task: Task, step: Callable[[Tokens, Tokens], float]) -> Curve:
    """Time every step; ``step`` returns the loss as a number."""
    curve = Curve()
    for inputs, targets in batches(task):
        start = time.perf_counter()
        curve.losses.append(step(inputs, targets))
        curve.seconds.append(time.perf_counter() - start)
    return curve


def report(curve: Curve, packages: list[str], threads: int) -> None:
    """Print the result as one line of JSON."""
    result: dict[str, Any] = {
        "median": {
            "step": statistics.median(curve.seconds[UNCOUNTED:]),
            "first": curve.seconds[0],
        },
        "seconds": curve.seconds,
        "losses": curve.losses,
        "threads": threads,
        "versions": {name: version(name) for name in packages},
    }
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
