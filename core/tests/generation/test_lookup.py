"""Prompt look-up: fewer steps, and the answer that it would have been without."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small import small_config, values_of
from small_windows import DELTA

from lmkernel.backend import load_backend
from lmkernel.config import RotaryConfig
from lmkernel.errors import InputError
from lmkernel.generation import GenerationOptions, Request, generate_tokens
from lmkernel.generation.lookup import PromptLookup, guess
from lmkernel.model import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.config import ModelConfig

ECHO = [5, 17, 3, 44, 9, 5, 17, 3]
"""A prompt that repeats itself."""
FRESH = [8, 2, 31, 7]


class Counted:
    """A model and the number of calls of its decoder."""

    def __init__(self, config: ModelConfig | None = None, seed: int = 5) -> None:
        self.model = Model(load_backend("numpy"), config or small_config())
        self.params = self.model.pack(values_of(self.model, seed))
        self.calls = 0
        self._step = self.model.decoder.step  # type: ignore[union-attr]  # it has a decoder
        self.model.decoder = self  # type: ignore[assignment]  # counts, and hands on

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step.__self__, name)

    def step(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        return self._step(*args, **options)

    def tokens(
        self, prompts: Sequence[Sequence[int]], count: int, **options: Any
    ) -> list[list[int | None]]:
        self.calls = 0
        chosen = GenerationOptions(
            **{"max_new_tokens": 24, **options}, prompt_lookup_num_tokens=count
        )
        return list(generate_tokens(self.model, self.params, prompts, chosen))


@pytest.mark.parametrize(
    ("history", "count", "expected"),
    [
        ([1, 2, 3, 9, 1, 2, 3], 2, [9, 1]),
        ([1, 2, 3, 9, 1, 2, 3], 9, [9, 1, 2, 3]),
        ([7, 2, 3, 4, 2, 3, 5, 2, 3], 2, [5, 2]),  # the latest place
        ([1, 2, 3, 6, 2, 3, 7, 1, 2, 3], 1, [6]),  # the longest run before the latest place
        ([4, 4, 4, 4], 2, [4]),
        ([1, 2, 3, 4], 3, []),
        ([1, 9, 1], 3, []),  # one token alone says little
        ([1], 3, []),
    ],
)
def test_a_guess_is_what_followed_before(
    history: list[int], count: int, expected: list[int]
) -> None:
    assert guess(history, count) == expected


@pytest.mark.parametrize("count", [1, 4, 10])
@pytest.mark.parametrize("prompts", [[ECHO], [FRESH], [ECHO, FRESH, [12]]])
@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.5])
def test_the_tokens_are_those_without(
    prompts: list[list[int]], count: int, temperature: float
) -> None:
    model = Counted()
    options = {"temperature": temperature, "seed": 11}
    assert model.tokens(prompts, count, **options) == model.tokens(prompts, 0, **options)


@pytest.mark.parametrize("seed", range(12))
def test_the_draws_are_those_without(seed: int) -> None:
    model = Counted(seed=seed)
    options = {"temperature": 1.0, "top_p": 0.9, "repetition_penalty": 1.2, "seed": seed}
    assert model.tokens([ECHO], 5, **options) == model.tokens([ECHO], 0, **options)


def test_a_row_that_repeats_takes_fewer_steps() -> None:
    model = Counted()
    plain = model.tokens([ECHO], 0)
    one_by_one = model.calls
    assert model.tokens([ECHO], 6) == plain
    assert one_by_one == 24
    assert model.calls < one_by_one / 2


def test_a_row_without_repeats_takes_the_same_steps() -> None:
    model = Counted()
    options = {"max_new_tokens": 4, "temperature": 3.0, "seed": 2}
    tokens = model.tokens([FRESH], 0, **options)
    assert len({*FRESH, *(row[0] for row in tokens)}) == 8  # or the test says nothing
    before = model.calls
    model.tokens([FRESH], 6, **options)
    assert model.calls == before


def test_a_row_ends_in_the_middle_of_right_guesses() -> None:
    model = Counted()
    plain = model.tokens([ECHO, FRESH], 0)
    last = plain[9][0]
    assert last is not None
    options = {"stop_ids": (last,)}
    assert model.tokens([ECHO, FRESH], 6, **options) == model.tokens([ECHO, FRESH], 0, **options)


def test_the_context_is_filled_to_its_end() -> None:
    model = Counted()
    options = {"max_new_tokens": 100}
    tokens = model.tokens([ECHO], 7, **options)
    assert tokens == model.tokens([ECHO], 0, **options)
    assert len(tokens) == 48 - len(ECHO) + 1


def test_wrong_guesses_leave_nothing_in_the_cache() -> None:
    model = Counted()
    lookup = PromptLookup(model.model, model.params, 4)
    tokens, places = np.array([ECHO], np.int32), np.arange(len(ECHO), dtype=np.int32)[None]
    states = []
    for _ in range(2):
        state = model.model.begin(model.params, 1, 20)
        states.append(model.model.step(model.params, tokens, places, state)[1])
    newest, at = np.array([[44]], np.int32), np.array([[len(ECHO)]], np.int32)
    _, state = lookup.step(newest, at, [[*ECHO, 44]], states[0])
    _, plain = model.model.step(model.params, newest, at, states[1])
    assert state.used == plain.used
    other, after = np.array([[60]], np.int32), at + 1  # the guess was 9
    logits, state = lookup.step(other, after, [[*ECHO, 44, 60]], state)
    expected, _ = model.model.step(model.params, other, after, plain)
    # several rows are summed in another order than one
    assert np.abs(logits - expected).max() < 16 * np.finfo(np.float32).eps * np.abs(expected).max()


def growing() -> ModelConfig:
    config = small_config()
    rotary = replace(
        config.embedding.rotary or RotaryConfig(dim=8),
        scaling="dynamic",
        factor=2.0,
        original_context=16,
    )
    return replace(config, embedding=replace(config.embedding, rotary=rotary))


def windowed() -> ModelConfig:
    config = small_config()
    assert config.decoder is not None
    attention = replace(config.decoder.attention, window=8)
    return replace(config, decoder=replace(config.decoder, attention=attention))


def of_a_matrix() -> ModelConfig:
    config = small_config()
    assert config.decoder is not None
    own = replace(DELTA, width=config.decoder.width)
    return replace(config, decoder=replace(config.decoder, attention=own))


@pytest.mark.parametrize("config", [growing, windowed, of_a_matrix])
def test_refuses_a_state_that_cannot_go_back(config: Any) -> None:
    with pytest.raises(InputError, match="keeps every token as it was"):
        Counted(config()).tokens([ECHO], 4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompt_lookup_num_tokens": -1}, "0 to 256"),
        ({"prompt_lookup_num_tokens": 257}, "0 to 256"),
        ({"prompt_lookup_num_tokens": 2.5}, "a whole number"),
        ({"prompt_lookup_num_tokens": 3, "num_beams": 2}, "where there are beams"),
    ],
)
def test_refuses_counts_that_make_no_sense(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        GenerationOptions(**changes)


def test_a_scheduled_answer_takes_none() -> None:
    with pytest.raises(InputError, match="no prompt look-up"):
        Request(ECHO, GenerationOptions(prompt_lookup_num_tokens=3))
