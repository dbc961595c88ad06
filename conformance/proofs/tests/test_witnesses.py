"""Every formula of the oracle against its second witness: values and derivatives.

The allowances are stored with the reference vectors and follow from the witness alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmkernel_conformance.oracle.arithmetic import Arithmetic
from lmkernel_conformance.oracle.attention import attention
from lmkernel_conformance.oracle.tape import gradient, raw
from lmkernel_proofs.vectors import numbers, read_vectors, widest
from lmkernel_proofs.witnesses.agreement import (
    allowances,
    exact_slopes,
    exact_values,
    oracle_slopes,
    oracle_values,
)
from lmkernel_proofs.witnesses.table import POINTS

EXACT = read_vectors("mpmath.json")["points"]
SLOPES = [name for name, point in POINTS.items() if point.gradient]
QUICK = [name for name, point in POINTS.items() if len(point.inputs) < 30]
OTHER_ORDERS = (1, 2, 3, 4)
NARROW = 1e-11
MOVED_TOO = 2.0
"""Another order moves each operation by a unit in the last place, so digits may cancel; it still
computes the same formula, within twice what is allowed of the largest result."""


@pytest.mark.parametrize("name", POINTS)
def test_oracle_agrees_with_its_witness(name: str) -> None:
    stored = EXACT[name]
    assert [float(x).hex() for x in exact_values(POINTS[name])] == stored["values"]
    got, bounds = oracle_values(POINTS[name]), stored["allowed"][0]
    assert widest(got, numbers(stored["values"]), bounds) <= 1


@pytest.mark.parametrize("name", SLOPES)
def test_its_derivative_agrees_with_differences_at_a_hundred_digits(name: str) -> None:
    stored = EXACT[name]
    assert [float(x).hex() for x in exact_slopes(POINTS[name])] == stored["slopes"]
    got, bounds = oracle_slopes(POINTS[name]), stored["allowed"][1]
    assert widest(got, numbers(stored["slopes"]), bounds) <= 1


@pytest.mark.parametrize("name", SLOPES)
def test_values_are_the_same_while_they_are_traced(name: str) -> None:
    point, ar = POINTS[name], Arithmetic()
    seen: list[Any] = []

    def f(t: dict[str, Any]) -> list[Any]:
        outputs = point.oracle(ar, t)
        seen.extend(map(raw, outputs))
        return outputs

    plain = point.oracle(ar, dict(point.inputs))
    gradient(ar, f, dict(point.inputs), [np.ones(y.shape) for y in plain])
    for got, expected in zip(seen, plain, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", POINTS)
def test_other_orders_agree(name: str) -> None:
    stored, point = EXACT[name], POINTS[name]
    for order in OTHER_ORDERS:
        got = oracle_values(point, order)
        assert widest(got, numbers(stored["values"]), _largest(stored["allowed"][0])) <= MOVED_TOO
        if point.gradient:
            slopes, bounds = oracle_slopes(point, order), _largest(stored["allowed"][1])
            assert widest(slopes, numbers(stored["slopes"]), bounds) <= MOVED_TOO


def _largest(bounds: list[float]) -> list[float]:
    return [max(bounds)] * len(bounds)


@pytest.mark.parametrize("name", QUICK)
def test_bounds_follow_from_the_witness(name: str) -> None:
    for bounds, stored in zip(allowances(POINTS[name]), EXACT[name]["allowed"], strict=True):
        np.testing.assert_allclose(bounds, stored, rtol=0.1)
        assert all(bound <= kept for bound, kept in zip(bounds, stored, strict=True))


@pytest.mark.parametrize("name", POINTS)
def test_bounds_are_narrow(name: str) -> None:
    """A witness that jumps where inputs move would allow anything."""
    stored = EXACT[name]
    for part, bounds in zip(("values", "slopes"), stored["allowed"], strict=True):
        largest = max(map(abs, numbers(stored.get(part, []))), default=0.0)
        assert max(bounds, default=0.0) <= NARROW * largest


def test_more_than_four_units_have_a_reason() -> None:
    assert [point.id for point in POINTS.values() if (point.ulps > 4) != bool(point.why)] == []


def test_inputs_are_multiples_that_convert_exactly() -> None:
    for point in POINTS.values():
        for x in point.inputs.values():
            assert x.dtype == np.float64
            assert np.isfinite(x).all()


def test_a_rounding_shows_in_values_and_not_in_derivatives() -> None:
    ar = Arithmetic(rounding=np.round)
    x = np.array([0.4, 1.6, -2.3])
    assert ar.narrow(x).tolist() == [0.0, 2.0, -2.0]
    found = gradient(ar, lambda t: [ar.narrow(t["x"]) * t["x"]], {"x": x}, [np.ones(3)])
    np.testing.assert_allclose(found["x"], x + np.round(x), rtol=1e-15)


def test_what_nobody_sees_counts_for_nothing_even_where_it_is_no_number() -> None:
    ar, shown = Arithmetic(), np.array([True, False, True, True, False])
    t = dict(POINTS["attention.open"].inputs)
    hidden = {name: np.where(shown[:, None], t[name], np.nan) for name in "kv"}
    mask = np.broadcast_to(shown, (1, 1, 3, 5))

    def f(x: dict[str, Any]) -> list[Any]:
        return [attention(ar, x["q"], x["k"], x["v"], mask, scale=0.5)]

    np.testing.assert_array_equal(f({**t, **hidden}), f(t))
    found = gradient(ar, f, {**t, **hidden}, [np.ones((1, 4, 3, 2))])
    assert all(np.isfinite(g).all() for g in found.values())
    assert not found["k"][:, :, ~shown].any()


def test_widest_takes_no_nan_and_no_other_count() -> None:
    assert widest([1.0], [1.0, 2.0], [1.0, 1.0]) == np.inf
    assert widest([float("nan"), 1.0], [1.0, 1.0], [1.0, 1.0]) == np.inf
    assert widest([1.0, 3.0], [1.0, 2.0], [1.0, 0.5]) == 2
