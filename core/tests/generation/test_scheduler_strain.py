"""A scheduler under strain: rows that leave, errors, slots and prompts that are kept, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scheduling import LONG, alone, prompts, requests, run, run_on, tokens
from small import small_config, values_of

from lmkernel.backend import load_backend
from lmkernel.errors import InputError
from lmkernel.generation import (
    Drawn,
    Failed,
    GenerationOptions,
    Request,
    Scheduler,
)
from lmkernel.model import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.generation import Event


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(load_backend(), small_config(max_position_embeddings=96))


@pytest.fixture(scope="module")
def params(model: Model) -> Any:
    return model.pack(values_of(model))


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
