"""Beams beside transformers' ``generate``: the same tokens, on every backend.

Constraint: weights are drawn so that no two beams are near a tie; what rounds otherwise on a
backend changes no token. ``tox`` tries some of it; all of it with ``LMKERNEL_FAMILIES=all``.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from family_kinds import KINDS

from lmkernel.backend import load_backend
from lmkernel.generation import GenerationOptions, generate_tokens
from lmkernel.loading import open_language_model

BACKENDS = ("numpy", "torch", "tensorflow", "jax", "mlx")
ENDS = [3, 17, 40, 41, 42, 43, 44]
NEW, START = 12, 2
DRAWN = np.random.default_rng(3)
PROMPTS = [DRAWN.integers(4, 90, DRAWN.integers(1, 8)).tolist() for _ in range(50)]
PLAIN: dict[str, dict[str, Any]] = {"greedy": {}, "four beams": {"num_beams": 4}}
OTHERS: dict[str, dict[str, Any]] = {
    "early": {
        "num_beams": 4,
        "length_penalty": 2.0,
        "early_stopping": True,
        "no_repeat_ngram_size": 2,
    },
    "never": {
        "num_beams": 3,
        "early_stopping": "never",
        "length_penalty": -0.5,
        "bad_words_ids": [[5], [6, 7], [11]],
        "min_new_tokens": 4,
    },
    "forced": {
        "num_beams": 2,
        "repetition_penalty": 1.4,
        "forced_eos_token_id": 3,
        "forced_bos_token_id": 9,
    },
    "one forced": {"forced_eos_token_id": 3, "no_repeat_ngram_size": 1, "min_new_tokens": 3},
}
CASES = {**PLAIN, **OTHERS}
SOME = ("four beams",)
EVERYTHING = os.environ.get("LMKERNEL_FAMILIES") == "all"
NAMES = (
    *("t5", "gpt2", "bart", "umt5", "m2m 100", "marian apart", "qwen3"),
    *("t5 gated", "mt5", "mbart", "pegasus", "marian"),
)
TRIED = NAMES if EVERYTHING else NAMES[:2]
NEVER = {"m2m 100": [[1]]}
"""Padding, which transformers passes over when it counts positions, and no model writes."""


@pytest.fixture(scope="module", params=TRIED)
def witness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder, whether an encoder reads, and transformers' answers by case."""
    kind, folder = KINDS[request.param], tmp_path_factory.mktemp("beams")
    if kind.source:  # transformers has as many caches as there are layers in the encoder
        key = "num_decoder_layers" if "num_layers" in kind.options else "decoder_layers"
        kind = replace(kind, options={**kind.options, key: 2})
    model = kind.make()
    model.save_pretrained(folder)
    never = NEVER.get(request.param, [])
    cases = {name: with_words(CASES[name], never) for name in (CASES if EVERYTHING else SOME)}
    answers = {name: theirs(model, kind.source, options) for name, options in cases.items()}
    return folder, kind.source, cases, answers


def with_words(options: dict[str, Any], words: list[list[int]]) -> dict[str, Any]:
    given = [*options.get("bad_words_ids", []), *words]
    return {**options, "bad_words_ids": given} if given else options


def theirs(model: Any, source: bool, options: dict[str, Any]) -> list[list[int]]:
    found = []
    more = {"decoder_start_token_id": START} if source else {}
    for prompt in PROMPTS:
        ids = torch.tensor([prompt])
        answer = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=NEW,
            do_sample=False,
            eos_token_id=ENDS,
            pad_token_id=0,
            **more,
            **options,
        )
        found.append(answer[0, 1 if source else len(prompt) :].tolist())
    return found


def ours(folder: Any, backend: str, source: bool, options: dict[str, Any]) -> list[list[int]]:
    """All prompts at once, so that rows of unequal length end at unequal times."""
    loaded = open_language_model(folder, load_backend(backend))
    model, params = loaded.model, loaded.params
    chosen = GenerationOptions(max_new_tokens=NEW, **options)
    rows, memory = PROMPTS, None
    if source:
        longest = max(map(len, PROMPTS))
        tokens = np.array([[0] * (longest - len(p)) + p for p in PROMPTS], np.int32)
        real = [[-1] * (longest - len(p)) + [*range(len(p))] for p in PROMPTS]
        memory = model.encode(params, tokens, np.array(real, np.int32))
        rows = [[START]] * len(PROMPTS)
    columns = generate_tokens(model, params, rows, chosen, end_ids=ENDS, memory=memory)
    answers = zip(*columns, strict=True)
    return [[token for token in row if token is not None] for row in answers]


@pytest.mark.parametrize("case", CASES if EVERYTHING else SOME)
def test_answers_are_those_of_transformers(witness: Any, case: str) -> None:
    folder, source, cases, expected = witness
    assert ours(folder, "numpy", source, cases[case]) == expected[case]


@pytest.mark.parametrize("case", PLAIN if EVERYTHING else SOME[:1])
@pytest.mark.parametrize("backend", BACKENDS[1:] if EVERYTHING else BACKENDS[1:2])
def test_on_every_backend(witness: Any, backend: str, case: str) -> None:
    folder, source, cases, expected = witness
    assert ours(folder, backend, source, cases[case]) == expected[case]
