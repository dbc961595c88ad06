"""One token from logits: each option by a case worked by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lmkernel.errors import InputError
from lmkernel.generation import GenerationOptions, draw, sample
from lmkernel.random import uniforms

LOGITS = np.log(np.array([0.1, 0.4, 0.2, 0.3]))


def draw_many(**options: float) -> set[int]:
    """All tokens that 400 draws give."""
    chosen = GenerationOptions(temperature=1.0, **options)  # type: ignore[arg-type]  # by name
    return {sample(LOGITS, chosen, step=step) for step in range(400)}


def test_greedy_takes_the_first_of_the_largest() -> None:
    assert sample(np.array([1.0, 3.0, 3.0]), GenerationOptions()) == 1


def test_draws_follow_the_distribution() -> None:
    chosen = GenerationOptions(temperature=1.0)
    counts = np.bincount([sample(LOGITS, chosen, step=s) for s in range(4000)], minlength=4)
    np.testing.assert_allclose(counts / 4000, [0.1, 0.4, 0.2, 0.3], atol=0.03)


def test_draw_picks_from_the_cumulative_distribution() -> None:
    chosen = GenerationOptions(temperature=1.0, seed=9)
    u = draw(9, 2, 5)
    expected = int(np.searchsorted(np.cumsum([0.1, 0.4, 0.2, 0.3]), u, side="right"))
    assert sample(LOGITS, chosen, row=2, step=5) == expected


def test_draws_are_keyed_by_seed_row_and_step() -> None:
    assert draw(1, 2, 3) == uniforms(1, "sample.2.3", 1)[0]
    assert len({draw(1, 2, 3), draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4)}) == 4


def test_top_k_keeps_the_k_largest() -> None:
    assert draw_many(top_k=2) == {1, 3}
    assert draw_many(top_k=1) == {1}


@pytest.mark.parametrize(("p", "expected"), [(0.3, {1}), (0.5, {1, 3}), (0.75, {1, 2, 3})])
def test_top_p_keeps_the_smallest_set_that_reaches_p(p: float, expected: set[int]) -> None:
    assert draw_many(top_p=p) == expected


def test_min_p_is_relative_to_the_largest() -> None:
    assert draw_many(min_p=0.6) == {1, 3}
    assert len(draw_many(min_p=1.0)) == 1


def test_temperature_sharpens() -> None:
    cold = GenerationOptions(temperature=0.01)
    assert {sample(LOGITS, cold, step=s) for s in range(50)} == {1}


def test_penalty_divides_positive_and_multiplies_negative() -> None:
    options = GenerationOptions(repetition_penalty=2.0)
    assert sample(np.array([3.0, 2.0, 1.0]), options, history=[0]) == 1
    assert sample(np.array([-1.0, -1.5, -9.0]), options, history=[0]) == 1


def test_nan_is_not_hidden() -> None:
    with pytest.raises(InputError, match="step 3, row 1"):
        sample(np.array([1.0, np.nan]), GenerationOptions(), row=1, step=3)


@pytest.mark.parametrize(
    "options",
    [
        {"max_new_tokens": 0},
        {"temperature": -1.0},
        {"temperature": 10**400},
        {"top_p": 0.0},
        {"top_k": -1},
        {"min_p": 1.1},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": float("inf")},
        {"repetition_penalty": 10**400},
        {"seed": -1},
        {"seed": 2**64},
        {"ignore_eos": "no"},
        {"ignore_eos": 1},
        {"stop": ("",)},
    ],
)
def test_senseless_options_are_named(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        GenerationOptions(**options)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("field", dataclasses.fields(GenerationOptions), ids=lambda one: one.name)
def test_options_of_thousands_of_digits_are_refused_in_words(
    field: dataclasses.Field[object],
) -> None:
    with pytest.raises(InputError, match=rf"{field.name}: expected .*got \[?<int of 16610 bits>"):
        GenerationOptions(**{field.name: [-(10**5000)]}).check_ids(9)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("temperature", [1e-200, 1e-307, 5e-324])
def test_b23_a_temperature_of_almost_nothing_is_greedy(temperature: float) -> None:
    cold = GenerationOptions(temperature=temperature)
    assert sample(np.array([0.5, 3.0, -1.0]), cold) == 1
    assert sample(np.array([-np.inf, 3.0, 2.999]), cold) == 1


def test_b23_numbers_of_numpy_are_pythons_own() -> None:
    given = GenerationOptions(temperature=np.float32(0.5), top_k=np.uint8(3), top_p=np.float16(1))
    assert [type(v) for v in (given.temperature, given.top_k, given.top_p)] == [float, int, float]
    assert given == GenerationOptions(temperature=0.5, top_k=3)


def test_m10_a_penalty_counts_a_token_once_however_often_it_came() -> None:
    once, often = ([0], [0, 0, 0, 0])
    options = GenerationOptions(repetition_penalty=2.0)
    logits = np.array([3.0, 1.4, 0.0])  # halved once 0 leads still, halved twice it does not
    assert [sample(logits, options, history=h) for h in (once, often)] == [0, 0]


def test_m10_top_p_stops_where_the_share_is_reached_exactly() -> None:
    logits = np.log([0.5, 0.25, 0.25])
    for p, expected in ((0.5, {0}), (0.501, {0, 1}), (0.75, {0, 1}), (0.751, {0, 1, 2})):
        options = GenerationOptions(temperature=1.0, top_p=p)
        assert {sample(logits, options, step=s) for s in range(400)} == expected, p


def test_m10_of_those_that_tie_at_top_k_the_first_stay() -> None:
    logits = np.array([0.0, 1.0, 0.0, 0.0, 1.0])
    for k, expected in ((1, {1}), (2, {1, 4}), (3, {0, 1, 4}), (4, {0, 1, 2, 4})):
        options = GenerationOptions(temperature=5.0, top_k=k)
        assert {sample(logits, options, step=s) for s in range(400)} == expected, k


def test_m10_min_p_is_of_the_shares_after_the_temperature() -> None:
    """At a temperature of 2 the shares of 1 and 1/4 are those of 1 and 1/2."""
    logits = np.log([1.0, 0.25])
    for temperature, expected in ((1.0, {0}), (2.0, {0, 1})):
        options = GenerationOptions(temperature=temperature, min_p=0.4)
        assert {sample(logits, options, step=s) for s in range(400)} == expected, temperature
