"""Beam search beside all that could be said, and what may not be."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from small import small_config, values_of

from lmkernel.backend import load_backend
from lmkernel.errors import InputError
from lmkernel.generation import GenerationOptions, generate_tokens
from lmkernel.generation.beams import beam_search
from lmkernel.generation.constraints import Constraints
from lmkernel.model import Model

PROMPTS = [[3, 1, 4], [2], [5, 0, 5, 3, 1]]
VOCAB, NEW = 7, 3


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(load_backend(), small_config(vocab_size=VOCAB))


@pytest.fixture(scope="module")
def params(model: Model) -> Any:
    return model.pack(values_of(model))


def log_probs(model: Model, params: Any, rows: list[list[int]]) -> np.ndarray:
    ops = model.backend.ops
    with model.backend:
        logits = ops.to_numpy(model.forward(params, ops.asarray(rows, "int32"))).astype(float)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def likeliest(model: Model, params: Any, prompt: list[int]) -> tuple[tuple[int, ...], float]:
    """The best of all continuations of three tokens."""
    all_of_them = list(itertools.product(range(VOCAB), repeat=NEW))
    scored = log_probs(model, params, [[*prompt, *rest] for rest in all_of_them])
    first = len(prompt) - 1
    totals = [
        sum(scored[row, first + i, token] for i, token in enumerate(rest))
        for row, rest in enumerate(all_of_them)
    ]
    best = int(np.argmax(totals))
    return all_of_them[best], totals[best]


def test_as_many_beams_as_there_are_texts_find_the_likeliest(model: Model, params: Any) -> None:
    options = GenerationOptions(max_new_tokens=NEW, num_beams=VOCAB**2)
    found = beam_search(model, params, PROMPTS, options)
    for prompt, beam in zip(PROMPTS, found, strict=True):
        tokens, total = likeliest(model, params, prompt)
        assert beam.tokens == tokens
        assert sum(beam.log_probs) == pytest.approx(total, abs=1e-4)
        assert beam.score == pytest.approx(total / NEW, abs=1e-4)


def test_one_prompt_is_not_swayed_by_its_neighbours(model: Model, params: Any) -> None:
    options = GenerationOptions(max_new_tokens=12, num_beams=3)
    together = beam_search(model, params, PROMPTS, options, end_ids=(6,))
    alone = [beam_search(model, params, [p], options, end_ids=(6,))[0] for p in PROMPTS]
    assert [beam.tokens for beam in together] == [beam.tokens for beam in alone]


def test_one_beam_is_the_greedy_answer(model: Model, params: Any) -> None:
    greedy = GenerationOptions(max_new_tokens=8)
    columns = generate_tokens(model, params, PROMPTS, greedy, end_ids=(6,))
    rows = [[t for t in row if t is not None] for row in zip(*columns, strict=True)]
    found = beam_search(model, params, PROMPTS, greedy, end_ids=(6,))
    assert [list(beam.tokens) for beam in found] == rows


@pytest.mark.parametrize("beams", [1, 3])
def test_no_run_of_tokens_comes_twice(model: Model, params: Any, beams: int) -> None:
    options = GenerationOptions(max_new_tokens=20, num_beams=beams, no_repeat_ngram_size=2)
    for prompt, row in zip(PROMPTS, tokens_of(model, params, options), strict=True):
        pairs = list(itertools.pairwise([*prompt, *row]))
        assert len(set(pairs) - set(itertools.pairwise(prompt))) >= len(row) - 1
        assert len(pairs[len(prompt) - 1 :]) == len(set(pairs[len(prompt) - 1 :]))


def tokens_of(model: Model, params: Any, options: GenerationOptions) -> list[list[int]]:
    columns = generate_tokens(model, params, PROMPTS, options, end_ids=(6,))
    return [[t for t in row if t is not None] for row in zip(*columns, strict=True)]


@pytest.mark.parametrize("beams", [1, 3])
def test_forced_and_forbidden_tokens(model: Model, params: Any, beams: int) -> None:
    options = GenerationOptions(
        max_new_tokens=6,
        num_beams=beams,
        bad_words_ids=[[0], [1, 2]],
        forced_bos_token_id=4,
        forced_eos_token_id=5,
        min_new_tokens=5,
    )
    rows = tokens_of(model, params, options)
    assert rows[1][0] == 4  # the prompt of one token
    for row in rows:
        assert len(row) == 6
        assert row[-1] == 5
        assert 0 not in row[:-1]
        assert (1, 2) not in itertools.pairwise(row)
        assert 6 not in row


def test_where_no_token_is_left_it_is_said(model: Model, params: Any) -> None:
    none = GenerationOptions(max_new_tokens=2, bad_words_ids=[[t] for t in range(VOCAB)])
    with pytest.raises(InputError, match="expected a token that may be written at step 0"):
        list(generate_tokens(model, params, PROMPTS, none))


def test_a_penalty_counts_before_what_is_forbidden() -> None:
    options = GenerationOptions(repetition_penalty=2.0, bad_words_ids=[[1]])
    made = Constraints(options)
    scores = made.with_penalty(np.array([-1.0, -2.0, 3.0]), [0, 2])
    np.testing.assert_array_equal(scores, [-2.0, -2.0, 1.5])
    np.testing.assert_array_equal(made.apply(scores, [0, 2], step=0, limit=9), [-2, -np.inf, 1.5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_beams": 0}, "num_beams: expected 1 to 1024, got 0"),
        ({"num_beams": 2.5}, "num_beams: expected a whole number, got 2.5"),
        ({"num_beams": 2, "temperature": 0.7}, "temperature: expected 0 where there are beams"),
        ({"length_penalty": float("nan")}, "length_penalty: expected -100 to 100, got nan"),
        ({"length_penalty": "long"}, "length_penalty: expected a number, got 'long'"),
        ({"early_stopping": "soon"}, "early_stopping: expected True, False or 'never'"),
        ({"early_stopping": 1}, "early_stopping: expected True, False or 'never'"),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size: expected 0 or more"),
        ({"min_new_tokens": -1}, "min_new_tokens: expected 0 or more"),
        ({"bad_words_ids": [3]}, "bad_words_ids: expected lists of one token id or more"),
        ({"bad_words_ids": [[]]}, "bad_words_ids: expected lists of one token id or more"),
        ({"bad_words_ids": 3}, "bad_words_ids: expected lists of one token id or more"),
        ({"forced_bos_token_id": "a"}, "forced_bos_token_id: expected a token id, or several"),
    ],
)
def test_options_that_make_no_sense_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        GenerationOptions(**change)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"bad_words_ids": [[1, VOCAB]]}, "bad_words_ids"),
        ({"forced_bos_token_id": -1}, "forced_bos_token_id"),
        ({"forced_eos_token_id": VOCAB}, "forced_eos_token_id"),
    ],
)
def test_ids_outside_the_vocabulary_are_named(change: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=rf"{name}: expected token ids in 0 … 6"):
        GenerationOptions(**change).check_ids(VOCAB)
