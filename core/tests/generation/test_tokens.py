"""Generation of rows: greedy through the cache, unequal lengths, ends and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small import small_config, values_of

from lmkernel.backend import load_backend
from lmkernel.errors import InputError
from lmkernel.generation import GenerationOptions, decoding, generate_tokens
from lmkernel.generation.decoding import chunk_borders
from lmkernel.model import Model

if TYPE_CHECKING:
    from lmkernel.model.state import DecodingState

PROMPTS = [[5, 17, 3], [8, 2, 44, 9, 31, 7], [12]]


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(load_backend(), small_config())


@pytest.fixture(scope="module")
def params(model: Model) -> object:
    return model.pack(values_of(model))


def rows(model: Model, params: object, prompts: list[list[int]], **options: object) -> list[list]:
    chosen = GenerationOptions(**options)  # type: ignore[arg-type]  # by name
    columns = generate_tokens(model, params, prompts, chosen, end_ids=(99,))
    return [list(column) for column in zip(*columns, strict=True)]


def test_greedy_equals_the_uncached_argmax(model: Model, params: object) -> None:
    [got] = rows(model, params, PROMPTS[:1], max_new_tokens=9)
    text = list(PROMPTS[0])
    backend = model.backend
    with backend.scope():
        for _ in got:
            logits = model.forward(params, backend.ops.asarray([text], "int32"))
            text.append(int(np.argmax(backend.ops.to_numpy(logits)[0, -1])))
    assert got == text[3:]


def test_rows_of_unequal_length_equal_single_rows(model: Model, params: object) -> None:
    together = rows(model, params, PROMPTS, max_new_tokens=8)
    alone = [rows(model, params, [prompt], max_new_tokens=8)[0] for prompt in PROMPTS]
    assert together == alone


def test_row_that_ended_yields_none_and_leaves_the_others(model: Model, params: object) -> None:
    free = rows(model, params, PROMPTS, max_new_tokens=8)
    end = free[1][2]
    stopped = rows(model, params, PROMPTS, max_new_tokens=8, stop_ids=(end,))
    cut = free[1].index(end) + 1
    assert stopped[1] == free[1][:cut] + [None] * (len(stopped[1]) - cut)
    kept = [token for token in stopped[0] if token is not None]
    assert kept == free[0][: len(kept)]


def test_one_seed_gives_one_answer(model: Model, params: object) -> None:
    draws = [
        rows(model, params, PROMPTS, max_new_tokens=8, temperature=2.0, seed=seed)
        for seed in (4, 4, 5)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_a_forced_end_comes_where_the_context_is_full(model: Model, params: object) -> None:
    for limit, length in ((20, 4), (2, 2)):
        [got] = rows(model, params, [[1] * 45], max_new_tokens=limit, forced_eos_token_id=7)
        assert (len(got), got[-1]) == (length, 7)


def test_generation_ends_where_the_context_does(model: Model, params: object) -> None:
    [got] = rows(model, params, [[1] * 45], max_new_tokens=20)
    assert len(got) == 48 - 45 + 1


def test_b25_a_full_row_leaves_the_others_their_room(model: Model, params: object) -> None:
    short, full = rows(model, params, [[12], [1] * 47], max_new_tokens=8)
    assert short == rows(model, params, [[12]], max_new_tokens=8)[0]
    assert full[:2] == rows(model, params, [[1] * 47], max_new_tokens=8)[0]
    assert full[2:] == [None] * 6


@pytest.mark.parametrize(
    ("prompts", "message"),
    [([], "empty"), ([[1], []], "empty"), ([[1] * 49], "49 tokens, the model's context only 48")],
)
def test_bad_prompts_are_named(
    model: Model, params: object, prompts: list[list[int]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        rows(model, params, prompts)


def test_long_prompts_come_in_chunks_the_odd_one_first() -> None:
    assert chunk_borders(1100) == [0, 76, 588, 1100]
    assert chunk_borders(512) == [0, 512]
    assert chunk_borders(3) == [0, 3]


@pytest.mark.parametrize("how", [{}, {"num_beams": 3}, {"prompt_lookup_num_tokens": 3}], ids=str)
def test_a_cache_that_grows_gives_the_same_tokens(
    how: dict[str, int], model: Model, params: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [[3, 5, 3, 5], [7]]
    expected = rows(model, params, prompts, max_new_tokens=20, **how)
    sizes = []
    grow = Model.grow

    def grown(self: Model, state: DecodingState, capacity: int) -> DecodingState:
        sizes.append((state.capacity, capacity))
        return grow(self, state, capacity)

    monkeypatch.setattr(Model, "grow", grown)
    monkeypatch.setattr(decoding, "ROOM", 2)
    assert rows(model, params, prompts, max_new_tokens=20, **how) == expected
    assert sizes
    assert len(sizes) <= 5, sizes


def test_room_for_an_answer_is_not_taken_before_it_is_needed(
    model: Model, params: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    begin = Model.begin

    def begun(self: Model, params: object, batch: int, capacity: int, **more: Any) -> DecodingState:
        taken.append(capacity)
        return begin(self, params, batch, capacity, **more)

    monkeypatch.setattr(Model, "begin", begun)
    monkeypatch.setattr(decoding, "ROOM", 5)
    rows(model, params, [[3]], max_new_tokens=20)
    assert taken == [1 + 5]
