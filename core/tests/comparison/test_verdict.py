"""The verdict of a comparison: equal, tied, or different."""

from __future__ import annotations

import numpy as np
import pytest

from lmkernel.comparison.greedy import Answer
from lmkernel.comparison.verdict import budget, judge_answers, largest_error


def answer(tokens: tuple[int, ...], *rows: tuple[float, ...]) -> Answer:
    return Answer(tokens, np.array(rows), 1.0)


REFERENCE = [answer((1, 0), (0.0, 2.0, 1.0), (3.0, 2.999, 0.0))]


def test_equal_tokens_within_the_budget_pass() -> None:
    got = judge_answers("b", [answer((1, 0), (0.0, 2.01, 1.0), (3.0, 2.0, 0.0))], REFERENCE, 1.0)
    assert got.passed
    assert got.error == pytest.approx(0.999)
    assert got.partings == ()
    assert got.tokens_per_second == 1.0


def test_parting_at_a_tie_passes_and_is_said() -> None:
    got = judge_answers("b", [answer((1, 1), (0.0, 2.0, 1.0), (2.999, 3.0, 0.0))], REFERENCE, 0.002)
    [parting] = got.partings
    assert (parting.prompt, parting.step, parting.expected, parting.got) == (0, 1, 0, 1)
    assert parting.tie
    assert got.passed


def test_parting_elsewhere_fails() -> None:
    got = judge_answers("b", [answer((2, 0), (0.0, 2.0, 2.5), (0.0, 0.0, 0.0))], REFERENCE, 0.1)
    assert not got.partings[0].tie
    assert not got.passed


def test_two_ties_are_one_too_many() -> None:
    tied = answer((1, 1), (0.0, 2.0, 1.0), (2.999, 3.0, 0.0))
    assert not judge_answers("b", [tied, tied], REFERENCE * 2, 0.002).passed


def test_what_follows_a_parting_is_not_compared() -> None:
    assert largest_error([answer((2, 0), (0.0, 2.0, 1.5), (9.0, 9.0, 9.0))], REFERENCE) == 0.5


def test_nan_is_an_infinite_error() -> None:
    assert largest_error([answer((1, 0), (0.0, np.nan, 1.0), (3.0, 0, 0))], REFERENCE) == np.inf


def test_budget_is_four_times_an_honest_error_and_a_floor() -> None:
    floor = float(np.spacing(np.float32(3.0)))
    assert budget(0.01, REFERENCE, "float32") == pytest.approx(4 * (0.01 + floor))
    assert budget(0.01, REFERENCE, "bfloat16") > 1000 * budget(0.01, REFERENCE, "float32")


def test_m8_the_numbers_that_people_know_are_over_the_steps_with_the_same_past() -> None:
    reference = Answer((0, 1, 2), np.array([[4.0, 0, 0], [0, 3, 0], [0, 0, 2.0]]), 1.0)
    moved = Answer((0, 2, 2), np.array([[4.0, 0, 0], [0, 3, 3.5], [9, 9, 9.0]]), 1.0)
    [same] = [judge_answers("a", [reference], [reference], 1.0).metrics]
    other = judge_answers("a", [moved], [reference], 1.0).metrics
    assert same is not None
    assert other is not None
    assert (same.positions, same.log_prob, same.ratio, same.agreement) == (3, 0.0, 1.0, 1.0)
    assert (other.positions, other.agreement) == (2, 0.5)
    # at the second step the token 1 went from log softmax 3 of (0, 3, 0) to 3 of (0, 3, 3.5)
    p, q = np.exp([0, 3, 0]), np.exp([0, 3, 3.5])
    gap = float(np.log(p[1] / p.sum()) - np.log(q[1] / q.sum()))
    assert other.log_prob == pytest.approx(gap / 2)
    assert other.ratio == pytest.approx((1 + np.exp(gap)) / 2)
    want = float((p / p.sum() * np.log((p / p.sum()) / (q / q.sum()))).sum() / 2)
    assert other.kl_forward == pytest.approx(want)
