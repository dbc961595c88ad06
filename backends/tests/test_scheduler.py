"""Rows that join and leave a batch on this backend: each answer is what it is alone."""

from __future__ import annotations

import numpy as np
from small_windows import values_of, windowed

from lmkernel.backend import load_backend
from lmkernel.generation import Drawn, GenerationOptions, Request, Scheduler, generate_tokens
from lmkernel.model import Model


def test_each_answer_is_what_it_is_alone() -> None:
    model = Model(load_backend(), windowed(None, 5))
    params = model.pack(values_of(model))
    drawn = np.random.Generator(np.random.Philox(3))
    requests = [
        Request(
            drawn.integers(0, 29, size=length).tolist(),
            GenerationOptions(max_new_tokens=new, temperature=i % 2, seed=i),
            choices=1 + i % 2,
        )
        for i, (length, new) in enumerate([(3, 6), (17, 3), (1, 4)])
    ]
    scheduler = Scheduler(model, params, most_rows=2, chunk=12)
    found: dict[Request, list[list[int]]] = {r: [[] for _ in range(r.choices)] for r in requests}
    for request in requests:
        scheduler.add(request)
    while not scheduler.idle:
        for event in scheduler.step():
            assert isinstance(event, Drawn), event
            found[event.request][event.choice].append(event.token.id)
    for request, answers in found.items():
        prompts = [request.prompt] * request.choices
        alone = list(generate_tokens(model, params, prompts, request.options))
        assert answers == [list(row) for row in zip(*alone, strict=True)]
