"""Requests side by side: each answer is what it is alone, whoever joins and leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scheduling import LONG, alone, prompts, requests, run, tokens
from small import HF_CONFIG, small_config, values_of
from small_windows import windowed

from lmkernel.backend import load_backend
from lmkernel.errors import InputError
from lmkernel.families.deepseek import DeepseekV2
from lmkernel.families.family import HfConfig
from lmkernel.generation import (
    Drawn,
    GenerationOptions,
    PromptScored,
    Request,
    Scheduler,
    generate_tokens,
)
from lmkernel.generation.likelihood import log_probs_of
from lmkernel.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmkernel.config import ModelConfig


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(load_backend(), small_config(max_position_embeddings=96))


@pytest.fixture(scope="module")
def params(model: Model) -> Any:
    return model.pack(values_of(model))


@pytest.mark.parametrize("rows", [1, 3, 16])
@pytest.mark.parametrize("chunk", [4, 512])
@pytest.mark.parametrize("kept", [0, 8192])
def test_each_answer_is_what_it_is_alone(
    model: Model, params: Any, rows: int, chunk: int, kept: int
) -> None:
    scheduler = Scheduler(
        model, params, end_ids=(60,), most_rows=rows, chunk=chunk, kept_tokens=kept
    )
    asked = requests()
    found = run(scheduler, asked)
    for request in asked:
        answer = found[request, 0]
        assert tokens(answer) == alone(model, params, request)
        assert [bool(event.reason) for event in answer] == [False] * (len(answer) - 1) + [True]


LATENT = {
    "model_type": "deepseek_v2",
    "num_key_value_heads": 6,
    "kv_lora_rank": 16,
    "q_lora_rank": None,
    "qk_nope_head_dim": 10,
    "qk_rope_head_dim": 8,
    "v_head_dim": 12,
    "first_k_dense_replace": 1,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "topk_method": "greedy",
}


def longrope() -> ModelConfig:
    return small_config(rope_scaling=LONG)


def windows() -> ModelConfig:
    return windowed(1, None, 5, 12)


def latent() -> ModelConfig:
    return DeepseekV2().read(HfConfig({**HF_CONFIG, **LATENT}))


@pytest.mark.parametrize("config", [longrope, windows, latent])
def test_so_it_is_where_rows_are_seen_otherwise(config: Callable[[], ModelConfig]) -> None:
    """Angles that change with the length of a row, and caches of the newest slots alone."""
    model = Model(load_backend(), config())
    params, vocab = model.pack(values_of(model)), model.config.embedding.vocab
    asked = [
        replace(request, prompt=[token % vocab for token in request.prompt])
        for request in requests()[:8]
        if len(request.prompt) < 30
    ]
    found = run(Scheduler(model, params, end_ids=(60,), chunk=4), asked)
    for request in asked:
        assert tokens(found[request, 0]) == alone(model, params, request)


def test_log_probabilities_are_those_of_the_model(model: Model, params: Any) -> None:
    asked = [
        Request(request.prompt, request.options, alternatives=4, score_prompt=True)
        for request in requests()
    ]
    scheduler, scored = Scheduler(model, params, end_ids=(60,), chunk=5), {}
    for request in asked:
        scheduler.add(request)
    answers: dict[Request, list[Any]] = {}
    while not scheduler.idle:
        for event in scheduler.step():
            if isinstance(event, PromptScored):
                scored[event.request] = list(event.tokens)
            elif isinstance(event, Drawn):
                answers.setdefault(event.request, []).append(event.token)
    backend = model.backend
    for request in asked:
        ids = [*request.prompt, *tokens_of(answers[request])]
        with backend.scope():
            logits = model.forward(params, backend.ops.asarray([ids], "int32"))
            logits = backend.ops.to_numpy(logits)[0].astype(np.float64)
        given = scored[request] + answers[request]
        assert [token.id for token in given] == ids[1:]
        for row, token in zip(logits, given, strict=False):
            log_prob, best = log_probs_of(row, token.id, 4)
            assert token.log_prob == pytest.approx(log_prob, abs=2e-4)
            assert [i for i, _ in token.alternatives] == [i for i, _ in best]


def tokens_of(scored: Sequence[Any]) -> list[int]:
    return [token.id for token in scored]


def test_what_options_forbid_and_force_is_as_it_is_alone(model: Model, params: Any) -> None:
    options = GenerationOptions(
        max_new_tokens=6,
        no_repeat_ngram_size=1,
        bad_words_ids=[[5], [9, 3]],
        min_new_tokens=6,
        forced_bos_token_id=4,
        forced_eos_token_id=7,
    )
    asked = [Request([3], options), Request([8, 2, 11], options)]
    for request in asked:
        found = run(Scheduler(model, params, end_ids=(60,)), [request])
        said = tokens(found[request, 0])
        assert said == alone(model, params, request)
        assert said[-1] == 7
    with pytest.raises(InputError, match="options: expected one beam"):
        Request([3], GenerationOptions(num_beams=2))


def test_choices_share_a_prompt_and_are_drawn_apart(model: Model, params: Any) -> None:
    options = GenerationOptions(max_new_tokens=12, temperature=1.0, seed=4)
    request = Request(prompts()[1], options, choices=5)
    found = run(Scheduler(model, params), [request])
    rows = generate_tokens(model, params, [request.prompt] * 5, options)
    expected = [list(row) for row in zip(*rows, strict=True)]
    assert [tokens(found[request, choice]) for choice in range(5)] == expected
    assert len({tuple(row) for row in expected}) > 1
