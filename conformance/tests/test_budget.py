"""Budgets: what they allow, what they never do."""

from __future__ import annotations

import numpy as np
import pytest

from lmkernel_conformance.budget import FACTOR, Budget, budgets
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.oracle.activation import softmax
from lmkernel_conformance.precision import PRECISIONS

SINGLE, DOUBLE = PRECISIONS["float32"], PRECISIONS["float64"]


def test_error_is_told_with_case_values_place_units_and_share() -> None:
    limit = Budget(np.array([[1.0, 2.0]]), 0.0, SINGLE)
    text = r"sum: expected 2, got 2\.5 at \[0, 1\]: 2\.097e\+06 units in the last place, .* budget"
    with pytest.raises(Discrepancy, match=text):
        limit.judge("sum", np.array([[1.0, 2.5]], np.float32))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_never_masked(wrong: float) -> None:
    limit = Budget(np.array([1.0, 2.0]), 1e9, SINGLE)
    with pytest.raises(Discrepancy, match=r"at \[1\]"):
        limit.judge("x", np.array([1.0, wrong]))


def test_expected_infinity_must_come() -> None:
    limit = Budget(np.array([np.inf, np.nan]), 0.0, SINGLE)
    assert limit.judge("x", np.array([np.inf, np.nan])).share == 0
    with pytest.raises(Discrepancy):
        limit.judge("x", np.array([1e38, np.nan]))


def test_shape_is_checked_before_broadcasting() -> None:
    with pytest.raises(Discrepancy, match=r"expected the shape \(2, 1\), got \(2,\)"):
        Budget(np.ones((2, 1)), 0.0, SINGLE).judge("x", np.ones(2))


def test_one_wrong_element_among_a_million_is_found() -> None:
    got = np.ones(1_000_000)
    got[777_777] += 1e-3
    with pytest.raises(Discrepancy, match=r"at \[777777\]"):
        Budget(np.ones(1_000_000), 1e-7, SINGLE).judge("x", got)


def test_floor_starts_at_twice_the_smallest_normal_number() -> None:
    limit = Budget(np.array([1e-40, 2e-38]), 0.0, SINGLE)
    assert limit.judge("x", np.array([0.0, 0.0])).share <= 1
    with pytest.raises(Discrepancy):
        limit.judge("x", np.array([3e-38, 2e-38]))


def test_allowed_is_four_times_the_honest_error() -> None:
    limit = Budget(np.array([1.0]), 1e-3, DOUBLE)
    assert limit.judge("x", np.array([1 + 3.9e-3])).share == pytest.approx(3.9 / FACTOR)
    with pytest.raises(Discrepancy):
        limit.judge("x", np.array([1 + 4.1e-3]))


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_honest_error_of_each_element_is_a_few_of_its_units(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32) * 9
    (limit,) = budgets(lambda ar: [softmax(ar, ar.constant(x))], PRECISIONS[name])
    units = limit.honest / PRECISIONS[name].ulp(limit.reference)
    assert limit.reference.min() < 1e-12 * limit.reference.max()
    assert (units > 0.4).all()
    assert (units < 200).all()


def test_budget_does_not_grow_with_copies() -> None:
    x = np.random.default_rng(0).normal(size=(1, 50)).astype(np.float32)
    wide = np.repeat(x, 100, 0)
    one = budgets(lambda ar: [softmax(ar, ar.constant(x))], SINGLE)
    many = budgets(lambda ar: [softmax(ar, ar.constant(wide))], SINGLE)
    assert np.median(many[0].honest) <= 2 * np.median(one[0].honest)


def test_what_cancels_is_allowed_as_much_as_its_terms_are() -> None:
    x = np.array([[1e4, -1e4 - 3e-3, 2.0**-9], [1.0, 2.0, 3.0]], np.float32)
    (limit,) = budgets(lambda ar: [ar.sum(ar.constant(x) * 0.7, -1)], SINGLE)
    units = limit.honest / SINGLE.ulp(limit.reference)
    assert units[0] > 1e5
    assert units[1] < 4


def test_small_elements_have_budgets_of_their_own() -> None:
    """What one budget for the whole array let pass: an exp that is doubled for 0.1 < x < 75."""
    x = np.array([-80.0, -1.0, 0.5, 20.0, 40.0])
    (limit,) = budgets(lambda ar: [ar.exp(ar.constant(x))], SINGLE)
    with pytest.raises(Discrepancy):
        limit.judge("exp", np.where((x > 0.1) & (x < 30), 2, 1) * np.exp(x))
    assert set(limit.judge("exp", np.exp(x)).shares) >= {"small"}


def test_the_worst_share_of_each_class_is_found() -> None:
    limit = Budget(np.array([1.0, 1e-9, 1e-3, 0.0]), np.array([0, 0, 1e-6, 0]), SINGLE)
    got = limit.judge("x", np.array([1 + 2.0**-22, 1e-9, 1e-3 + 2e-6, 0.0]))
    assert got.shares == {
        "large": pytest.approx(0.5),
        "small": 0.0,
        "sensitive": pytest.approx(0.5, rel=1e-3),
        "zero": 0.0,
    }
    assert got.share == max(got.shares.values())


def test_a_part_is_judged_by_its_own_elements() -> None:
    limit = Budget(np.array([1.0, 2.0]), np.array([0.0, 1.0]), SINGLE)
    assert limit.at([1]).judge("x", np.array([5.0])).share < 1
    with pytest.raises(Discrepancy):
        limit.at([0]).judge("x", np.array([4.0]))


def test_rounding_to_sixteen_bits_is_to_nearest_even() -> None:
    bfloat16, float16 = PRECISIONS["bfloat16"], PRECISIONS["float16"]
    x = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8 - 2**-20, 3.0], np.float32)
    assert bfloat16.round(x).tolist() == [1, 1 + 2**-6, -1 - 2**-7, 3]
    assert float16.round(np.array([1 + 2**-11], np.float32)).tolist() == [1]
    assert np.isnan(bfloat16.round(np.array([np.nan], np.float32))).all()


@pytest.mark.parametrize(
    ("name", "one"), [("float32", 2.0**-23), ("float64", 2.0**-52), ("bfloat16", 2.0**-7)]
)
def test_unit_in_the_last_place(name: str, one: float) -> None:
    precision = PRECISIONS[name]
    assert precision.ulp(np.array([1.0, -1.5, 2.0, 0.0])).tolist()[:3] == [one, one, 2 * one]
    assert precision.ulp(0.0) == precision.tiny * one
