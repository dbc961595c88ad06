"""What another order of summation changes, and what it must leave as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmkernel_conformance.oracle import activation
from lmkernel_conformance.oracle.arithmetic import Arithmetic
from lmkernel_conformance.oracle.tape import gradient
from lmkernel_proofs.witnesses.point import grid
from lmkernel_proofs.witnesses.precise import MP

X = np.exp(grid("orders.x", 5, 97))  # sums of so many round
Y = np.exp(grid("orders.y", 97, 5))
ULP = 2.0**-52
UNARY = ("exp", "cos", "sin", "tanh", "sigmoid", "erf")
SATURATED = [-800.0, -30.0, -20.0, 20.0, 30.0, 800.0]


def slopes(name: str, x: Any, order: int) -> list[float]:
    ar = Arithmetic(order=order)
    x = np.array(x)
    found = gradient(ar, lambda t: [getattr(ar, name)(t["x"])], {"x": x}, [np.ones(x.shape)])
    result: list[float] = found["x"].tolist()
    return result


def test_order_zero_is_numpys_own() -> None:
    ar = Arithmetic()
    np.testing.assert_array_equal(ar.matmul(X, Y), X @ Y)
    np.testing.assert_array_equal(ar.sum(X, 0), X.sum(0))
    np.testing.assert_array_equal(ar.exp(X), np.exp(X))
    np.testing.assert_array_equal(ar.constant(X), X)


@pytest.mark.parametrize("order", [1, 2, 5])
@pytest.mark.parametrize("name", UNARY)
def test_other_orders_move_a_function_by_units_of_its_own_and_of_its_argument(
    name: str, order: int
) -> None:
    ar = Arithmetic(order=order)
    still, moved = getattr(Arithmetic(), name)(X), np.asarray(getattr(ar, name)(ar.constant(X)))
    assert (moved != still).any()
    # sines and cosines of vectors are right to units of 1, not of a result near zero
    of_one = 2 if name in ("cos", "sin") else 0
    bound = ULP * (np.abs(still) * (4 + 2 * np.abs(X)) + of_one)
    assert (np.abs(moved - still) <= bound).all()


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_order_moves_what_is_known(dtype: str, order: int) -> None:
    np.testing.assert_array_equal(Arithmetic(dtype, order).constant(X), X.astype(dtype))


@pytest.mark.parametrize("order", [1, 2, 4])
def test_other_orders_move_sums_and_products_by_units_of_the_terms(order: int) -> None:
    ar, signs = Arithmetic(order=order), np.resize([1.0, -1.0], 97)
    moved, still = ar.sum(ar.constant(X * signs), 1), (X * signs).sum(1)
    assert (moved != still).any()
    assert (np.abs(moved - still) <= 4 * ULP * X.sum(1)).all()
    product = ar.matmul(ar.constant(X * signs), ar.constant(Y))
    assert (product != (X * signs) @ Y).any()
    assert (np.abs(product - (X * signs) @ Y) <= 16 * ULP * (X @ Y)).all()


@pytest.mark.parametrize("order", [1, 2])
def test_infinity_stays_what_it_is(order: int) -> None:
    got = Arithmetic(order=order).constant(np.array([np.inf, -np.inf, 1.0]))
    assert got[:2].tolist() == [np.inf, -np.inf]


def test_an_empty_axis_sums_to_zero() -> None:
    for order in range(3):
        assert Arithmetic(order=order).sum(np.zeros((2, 0)), 1).tolist() == [0.0, 0.0]


def test_slope_of_tanh_is_exact_where_it_saturates() -> None:
    for x, got in zip(SATURATED, slopes("tanh", SATURATED, 0), strict=True):
        exact = MP.sech(MP.mpf(x)) ** 2
        assert abs(got - exact) <= 8 * ULP * exact + np.finfo(float).tiny


def test_slope_of_the_logistic_function_is_exact_where_it_saturates() -> None:
    for x, got in zip(SATURATED, slopes("sigmoid", SATURATED, 0), strict=True):
        exact = MP.sech(MP.mpf(x) / 2) ** 2 / 4
        assert abs(got - exact) <= 8 * ULP * exact + np.finfo(float).tiny


def test_other_orders_have_slopes_as_honest_libraries() -> None:
    assert slopes("tanh", [20.0], 1) == [0.0]
    assert slopes("sigmoid", [40.0], 2) == [0.0]


def test_relu_has_slope_zero_at_zero() -> None:
    ar = Arithmetic()
    x = np.array([-1.0, 0.0, 1.0])
    found = gradient(ar, lambda t: [activation.relu(ar, t["x"])], {"x": x}, [np.ones(3)])
    assert found["x"].tolist() == [0.0, 0.0, 1.0]
