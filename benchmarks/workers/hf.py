"""transformers on torch: one process, one variant.

Variants:
    generate: ``generate`` as it comes, with its growing cache.
    loop: a bare greedy loop around ``forward`` with the same cache: no logits processors, no
        stopping criteria, no streamer.
    static: ``generate`` with ``cache_implementation="static"``, not compiled.
    compiled: the same with ``forward`` compiled as the page "Optimizing inference" of
        transformers' documentation says.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from common import read_task, report, time_steps
from transformers import AutoModelForCausalLM

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Times:
    """A streamer that notes the ids of every step and the time at which they came."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.columns: list[list[int]] = []

    def put(self, value: torch.Tensor) -> None:
        self.times.append(time.perf_counter())
        self.columns.append(value.reshape(-1).tolist())

    def end(self) -> None:
        """Part of a streamer's interface; there is nothing to flush."""


class _Generate:
    """``model.generate``, greedy, never stopping early, observed through its streamer."""

    def __init__(self, model: Any, cache: str | None) -> None:
        self.model = model
        self.cache = cache

    def _run(self, prompts: list[list[int]], count: int) -> _Times:
        ids = torch.tensor(prompts)
        times = _Times()
        self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=count,
            eos_token_id=None,
            pad_token_id=0,
            cache_implementation=self.cache,
            streamer=times,
        )
        return times

    def decode(self, prompts: list[list[int]], count: int) -> tuple[float, list[list[int]]]:
        got = self._run(prompts, count)
        # the first thing that the streamer gets is the prompt
        rows = [list(row) for row in zip(*got.columns[1:], strict=True)]
        return got.times[-1] - got.times[1], rows

    def prefill(self, prompt: list[int]) -> float:
        start = time.perf_counter()
        return self._run([prompt], 1).times[1] - start


class _Loop:
    """A greedy loop that does nothing but call the model."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def _steps(self, prompts: list[list[int]], count: int) -> Iterator[list[int]]:
        ids, cache = torch.tensor(prompts), None
        for _ in range(count):
            out = self.model(ids, cache=cache, use_cache=True, logits_to_keep=1)
            cache, ids = out.cache, out.logits[:, -1].argmax(-1, keepdim=True)
            yield ids[:, 0].tolist()

    def decode(self, prompts: list[list[int]], count: int) -> tuple[float, list[list[int]]]:
        return time_steps(self._steps(prompts, count))

    def prefill(self, prompt: list[int]) -> float:
        start = time.perf_counter()
        next(self._steps([prompt], 1))
        return time.perf_counter() - start


def _contestant(model: Any, variant: str) -> _Generate | _Loop:
    if variant == "compiled":
        model.forward = torch.compile(model.forward, mode="reduce-overhead", fullgraph=True)
    if variant == "loop":
        return _Loop(model)
    return _Generate(model, {"generate": None, "static": "static", "compiled": "static"}[variant])


def main() -> None:
    """Load, measure, print."""
    task = read_task()
    model = AutoModelForCausalLM.from_pretrained(task.model, dtype=torch.float32).eval()
    with torch.inference_mode():
        runner = _contestant(model, task.variant)
        packages = ["transformers", "torch"]
        report(task, runner.decode, runner.prefill, packages, torch.get_num_threads())


if __name__ == "__main__":
    main()
