"""What every worker shares: the task from the command line, warm-up, repeats, one JSON line.

A contestant supplies two functions. ``decode(prompts, count)`` returns the seconds that the tokens
after the first one took, and all new tokens; ``prefill(prompt)`` returns the seconds until the
first token. Only this module calls them, so the number of calls is the same for all.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Decode = Callable[[list[list[int]], int], tuple[float, list[list[int]]]]
    Prefill = Callable[[list[int]], float]

__all__ = ["Task", "available_processors", "read_task", "report", "time_steps"]


@dataclass(frozen=True)
class Task:
    """What to measure, as the driver wrote it.

    Args:
        model: folder in Hugging Face's layout.
        variant: way of running, in the worker's own words.
        metrics: names, some of ``decode1``, ``decode8``, ``prefill``.
        prompts: token ids for each metric, ``(batch, time)``.
        new_tokens: number of tokens that a generation makes.
        repeats: number of measurements of each metric after its warm-up.
    """

    model: str
    variant: str
    metrics: list[str]
    prompts: dict[str, list[list[int]]]
    new_tokens: int
    repeats: int


def read_task() -> Task:
    """Read the task from the first command-line argument."""
    return Task(**json.loads(sys.argv[1]))


def time_steps(steps: Iterable[list[int]]) -> tuple[float, list[list[int]]]:
    """Consume one list of ids (one for each row) a step; time from the first to the last.

    Returns:
        The seconds, and the new tokens of each row, ``(batch, time)``.
    """
    first = last = 0.0
    columns: list[list[int]] = []
    for ids in steps:
        last = time.perf_counter()
        first = first if columns else last
        columns.append([int(one) for one in ids])
    return last - first, [list(row) for row in zip(*columns, strict=True)]


def available_processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def report(task: Task, decode: Decode, prefill: Prefill, packages: list[str], threads: int) -> None:
    """Measure every metric of the task and print the result as one line of JSON.

    Each metric is run once unmeasured, which compiles and warms up; ``first_seconds`` says how
    long that took. Speeds are tokens a second.
    """
    speeds: dict[str, list[float]] = {}
    first_seconds: dict[str, float] = {}
    tokens: dict[str, list[list[int]]] = {}
    for metric in task.metrics:
        start = time.perf_counter()
        _, tokens[metric] = _once(metric, task, decode, prefill)
        first_seconds[metric] = time.perf_counter() - start
        speeds[metric] = [_once(metric, task, decode, prefill)[0] for _ in range(task.repeats)]
    result: dict[str, Any] = {
        "speeds": speeds,
        "median": {name: statistics.median(values) for name, values in speeds.items()},
        "first_seconds": first_seconds,
        "tokens": tokens,
        "threads": threads,
        "versions": {name: version(name) for name in packages},
    }
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


def _once(
    metric: str, task: Task, decode: Decode, prefill: Prefill
) -> tuple[float, list[list[int]]]:
    prompts = task.prompts[metric]
    if metric == "prefill":
        return len(prompts[0]) / prefill(prompts[0]), []
    seconds, tokens = decode(prompts, task.new_tokens)
    _check(metric, tokens, len(prompts), task.new_tokens)
    return len(prompts) * (task.new_tokens - 1) / seconds, tokens


def _check(metric: str, tokens: list[list[int]], batch: int, count: int) -> None:
    shape = (len(tokens), {len(row) for row in tokens})
    if shape != (batch, {count}):
        raise SystemExit(f"{metric}: expected {batch} rows of {count} new tokens, got {shape}")
