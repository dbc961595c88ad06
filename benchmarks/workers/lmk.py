"""lmkernel on one backend (the variant is its name): one process."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from common import available_processors, read_task, report, time_steps

import lmkernel

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = {"tensorflow": "tensorflow-cpu" if sys.platform == "linux" else "tensorflow"}
"""Distributions that are not called like the backend."""


class _Tokens:
    """``generate_tokens``: greedy, never stopping early, one list of ids a step."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def _steps(self, prompts: list[list[int]], count: int) -> Iterator[list[int]]:
        steps: Iterator[list[int]] = self.model.generate_tokens(
            prompts, max_new_tokens=count, temperature=0, ignore_eos=True
        )
        return steps

    def decode(self, prompts: list[list[int]], count: int) -> tuple[float, list[list[int]]]:
        return time_steps(self._steps(prompts, count))

    def prefill(self, prompt: list[int]) -> float:
        start = time.perf_counter()
        next(self._steps([prompt], 1))
        return time.perf_counter() - start


def main() -> None:
    """Load, measure, print."""
    task = read_task()
    runner = _Tokens(lmkernel.load(task.model, backend=task.variant))
    packages = ["lmkernel", PACKAGES.get(task.variant, task.variant)]
    report(task, runner.decode, runner.prefill, packages, available_processors())


if __name__ == "__main__":
    main()
