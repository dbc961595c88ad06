"""Requests side by side: each answer is what it is alone, whoever joins and leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small import HF_CONFIG, small_config, values_of
from small_windows import windowed

from lmkernel.backend import load_backend
from lmkernel.errors import InputError
from lmkernel.families.deepseek import DeepseekV2
from lmkernel.families.family import HfConfig
from lmkernel.generation import (
    Drawn,
    Failed,
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

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig
    from lmkernel.generation import Event

LENGTHS = [3, 17, 1, 9, 30, 5, 12, 2, 21, 8]


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(load_backend(), small_config(max_position_embeddings=96))


@pytest.fixture(scope="module")
def params(model: Model) -> Any:
    return model.pack(values_of(model))


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


LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "long_factor": [3.0, 2.0, 4.0, 5.0],
    "original_max_position_embeddings": 12,
}
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


def test_one_that_leaves_frees_its_row_at_once(model: Model, params: Any) -> None:
    scheduler = Scheduler(model, params, most_rows=1)
    first, second = (Request(p, GenerationOptions(max_new_tokens=20)) for p in prompts()[:2])
    scheduler.add(first)
    scheduler.add(second)
    scheduler.step()
    assert (scheduler.running, scheduler.waiting) == (1, 1)
    scheduler.cancel(first)
    assert scheduler.running == 0
    events = scheduler.step()
    assert {event.request for event in events} == {second}
    assert tokens(run_on(scheduler, events)) == alone(model, params, second)


def run_on(scheduler: Scheduler, events: list[Event]) -> list[Drawn]:
    while not scheduler.idle:
        events = events + scheduler.step()
    return [event for event in events if isinstance(event, Drawn)]


def test_one_that_never_began_may_leave(model: Model, params: Any) -> None:
    scheduler = Scheduler(model, params, chunk=2)
    request = Request(prompts()[1])
    scheduler.add(request)
    scheduler.cancel(request)
    assert scheduler.idle
    scheduler.add(request)
    assert scheduler.step() == []
    scheduler.cancel(request)
    assert scheduler.idle


def test_what_is_masked_is_never_chosen(model: Model, params: Any) -> None:
    def odd(logits: NDArray[Any], answer: Sequence[int]) -> NDArray[Any]:
        del answer
        return np.where(np.arange(len(logits)) % 2, logits, -np.inf)

    options = GenerationOptions(max_new_tokens=20, temperature=2.0, repetition_penalty=1.2)
    request = Request(prompts()[3], options, adjust=[odd])
    found = run(Scheduler(model, params), [request])
    assert all(token % 2 for token in tokens(found[request, 0]))


def test_an_error_is_its_own_requests_alone(model: Model, params: Any) -> None:
    def broken(logits: NDArray[Any], answer: Sequence[int]) -> NDArray[Any]:
        if len(answer) == 3:
            raise ValueError("broken")
        return logits

    good = Request(prompts()[0], GenerationOptions(max_new_tokens=9))
    bad = Request(prompts()[1], choices=2, adjust=[broken, broken])
    scheduler = Scheduler(model, params)
    scheduler.add(bad)
    scheduler.add(good)
    events: list[Event] = []
    while not scheduler.idle:
        events += scheduler.step()
    [failed] = [event for event in events if isinstance(event, Failed)]
    assert failed.request is bad
    assert str(failed.error) == "broken"
    assert [e.token.id for e in events if isinstance(e, Drawn) and e.request is good] == alone(
        model, params, good
    )


def test_a_step_that_fails_ends_what_ran_and_no_more(
    model: Model, params: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = Scheduler(model, params, most_rows=1)
    first, second = requests()[:2]
    scheduler.add(first)
    scheduler.step()
    scheduler.add(second)
    with monkeypatch.context() as patch:
        patch.setattr(Model, "step", lambda *_: 1 / 0)
        [failed] = scheduler.step()
    assert isinstance(failed, Failed)
    assert failed.request is first
    assert tokens(run_on(scheduler, [])) == alone(model, params, second)


@pytest.mark.parametrize("changes", [{}, {"rope_scaling": LONG}], ids=["plain", "longrope"])
def test_slots_that_nobody_uses_are_given_back(changes: dict[str, Any]) -> None:
    model = Model(load_backend(), small_config(**changes))
    scheduler = Scheduler(model, model.pack(values_of(model)))
    most = 0
    for _ in range(20):
        overlapping = [Request([7, 8], GenerationOptions(max_new_tokens=30)) for _ in range(2)]
        scheduler.add(overlapping[0])
        for _ in range(15):
            scheduler.step()
        scheduler.add(overlapping[1])
        for _ in range(15):
            scheduler.step()
            state = scheduler._batch._state
            most = max(most, state.capacity if state is not None else 0)
    assert most <= 256


def test_a_prompt_that_was_fed_is_not_fed_again(
    model: Model, params: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed: list[int] = []
    step = Model.step

    def counting(self: Model, params: Any, tokens: Any, *rest: Any) -> Any:
        fed.append(tokens.shape[1])
        return step(self, params, tokens, *rest)

    monkeypatch.setattr(Model, "step", counting)
    scheduler, prompt = Scheduler(model, params), prompts()[4]
    once = GenerationOptions(max_new_tokens=1)
    longer = Request([*prompt, 5, 6], GenerationOptions(max_new_tokens=6))
    for request in (Request(prompt, once), Request(prompt, once), longer):
        found = run(scheduler, [request])
    assert fed == [30, 2, 1, 1, 1, 1, 1]
    assert tokens(found[longer, 0]) == alone(model, params, longer)
    shorter = Request(prompt[:20], GenerationOptions(max_new_tokens=6))
    assert tokens(run(scheduler, [shorter])[shorter, 0]) == alone(model, params, shorter)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"prompt": []}, "prompt: expected at least one token"),
    ({"choices": -1}, "choices: expected a number of answers"),
    ({"choices": 0}, "score_prompt: expected True with 0 choices"),
    ({"alternatives": -1}, "alternatives: expected"),
    ({"adjust": [lambda logits, _: logits] * 2}, "adjust: expected none, or 1"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_requests_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Request(**{"prompt": [1], **changes})


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request([1], choices=17), "choices: expected at most 16"),
        (Request([1] * 97), "97 tokens, the model's context only 96"),
    ],
)
def test_what_can_never_be_answered_is_refused(
    model: Model, params: Any, request_: Request, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Scheduler(model, params).add(request_)
