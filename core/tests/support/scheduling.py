"""Requests of unequal length, and what a scheduler makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.generation import (
    Drawn,
    GenerationOptions,
    Request,
    Scheduler,
    generate_tokens,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.generation import Event
    from lmkernel.model import Model

LENGTHS = [3, 17, 1, 9, 30, 5, 12, 2, 21, 8]
LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "long_factor": [3.0, 2.0, 4.0, 5.0],
    "original_max_position_embeddings": 12,
}


def prompts() -> list[list[int]]:
    drawn = np.random.Generator(np.random.Philox(3))
    return [drawn.integers(0, 61, size=length).tolist() for length in LENGTHS]


def requests() -> list[Request]:
    """Greedy ones and drawn ones, of unequal length."""
    return [
        Request(
            prompt,
            GenerationOptions(
                max_new_tokens=4 + 7 * i % 30, temperature=(i % 3) / 2, seed=i, top_k=20
            ),
        )
        for i, prompt in enumerate(prompts())
    ]


def alone(model: Model, params: Any, request: Request, end: int = 60) -> list[int]:
    steps = generate_tokens(model, params, [request.prompt], request.options, end_ids=(end,))
    return [column[0] for column in steps if column[0] is not None]


def run(
    scheduler: Scheduler, arriving: Sequence[Request], every: int = 3
) -> dict[tuple[Request, int], list[Drawn]]:
    """All answers; one request arrives at each ``every``-th step."""
    found: dict[tuple[Request, int], list[Drawn]] = {}
    rest = list(arriving)
    for step in range(10_000):
        if rest and step % every == 0:
            scheduler.add(rest.pop(0))
        for event in scheduler.step():
            assert isinstance(event, Drawn), event
            found.setdefault((event.request, event.choice), []).append(event)
        if scheduler.idle and not rest:
            return found
    raise AssertionError


def tokens(events: Sequence[Drawn]) -> list[int]:
    return [event.token.id for event in events]


def run_on(scheduler: Scheduler, events: list[Event]) -> list[Drawn]:
    while not scheduler.idle:
        events = events + scheduler.step()
    return [event for event in events if isinstance(event, Drawn)]
