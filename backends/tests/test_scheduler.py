"""Rows that join and leave a batch on this backend: each answer is what it is alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel.backend import load_backend
from lmkernel.families.family import HfConfig
from lmkernel.families.llama import Llama
from lmkernel.generation import Drawn, GenerationOptions, Request, Scheduler, generate_tokens
from lmkernel.model import Model

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 1,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 61,
    "max_position_embeddings": 96,
    "tie_word_embeddings": True,
}


def test_each_answer_is_what_it_is_alone() -> None:
    model = Model(load_backend(), Llama().read(HfConfig(CONFIG)))
    params = model.pack({n: v * (1 if "norm" in n else 6) for n, v in model.initial(5).items()})
    drawn = np.random.Generator(np.random.Philox(3))
    requests = [
        Request(
            drawn.integers(0, 61, size=length).tolist(),
            GenerationOptions(max_new_tokens=new, temperature=i % 2, seed=i),
            choices=1 + i % 2,
        )
        for i, (length, new) in enumerate([(3, 6), (17, 3), (1, 4)])
    ]
    scheduler = Scheduler(model, params, most_rows=2, chunk=12)
    found: dict[Request, list[list[int]]] = {r: [[] for _ in range(r.choices)] for r in requests}
    for request in requests:
        scheduler.add(request)
        while True:
            for event in scheduler.step():
                assert isinstance(event, Drawn), event
                found[event.request][event.choice].append(event.token.id)
            if scheduler.idle or (scheduler.waiting == 0 and request is not requests[-1]):
                break
    for request, answers in found.items():
        prompts = [request.prompt] * request.choices
        alone = list(generate_tokens(model, params, prompts, request.options))
        assert answers == [list(row) for row in zip(*alone, strict=True)]
