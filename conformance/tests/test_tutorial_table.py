"""The tutorial's table: correct values follow from the inputs, misprints do not."""

from __future__ import annotations

from decimal import Decimal, localcontext
from operator import mul
from typing import Any

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel_conformance.oracle.arithmetic import Arithmetic
from lmkernel_conformance.subject import Subject
from lmkernel_conformance.tutorial.computations import compute, define
from lmkernel_conformance.tutorial.examples import EXAMPLES, Example, errata, lookup

DIGITS = 40


def _exactly(example: Example) -> list[Decimal]:
    """The exact values, in forty decimal digits, from the decimal inputs."""
    i, name = example.inputs, example.computation
    if name.startswith("loss"):
        pairs = zip(_row(i["prediction"]), _row(i["target"]), strict=True)
        if name == "loss.mse":
            return [sum(((p - t) ** 2 for p, t in pairs), Decimal(0)) / len(i["target"])]
        return [-sum((t * p.ln() for p, t in pairs), Decimal(0))]
    matrix, vector = {"e": ("W", "x"), "n": ("W", "e"), "a": ("W_a", "h")}[name[0]]
    biases = _row(i.get("b", [0] * 3))
    products = [sum(map(mul, _row(row), _row(i[vector])), Decimal(0)) for row in i[matrix]]
    values = [x + b for x, b in zip(products, biases, strict=True)]
    if name not in ("network.output", "attention.weights"):
        return values
    powers = [x.exp() for x in values]
    return [p / sum(powers) for p in powers]


def _row(values: Any) -> list[Decimal]:
    return [Decimal(str(x)) for x in values]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.id)
def test_correct_follows_from_the_inputs(example: Example) -> None:
    with localcontext() as context:
        context.prec = DIGITS
        exact = [float(x) for x in _exactly(example)]
    assert np.atleast_1d(example.correct).tolist() == exact


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.id)
def test_oracle_gives_the_correct_value(example: Example) -> None:
    got = define(Arithmetic(), example.computation, example.inputs)
    np.testing.assert_allclose(got, example.correct, rtol=1e-15)


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.section], ids=lambda e: e.id)
def test_what_is_printed_differs_exactly_where_there_is_an_erratum(example: Example) -> None:
    digits = 2 if example.id.startswith("attention") else 4
    same = np.allclose(example.printed, example.correct, rtol=0, atol=0.5 * 10**-digits)
    assert same == (not example.erratum)


def test_errata_are_these() -> None:
    assert [e.id for e in errata()] == ["embedding", "network.output", "loss.mse", "loss.ce"]


def test_every_example_has_a_companion_that_a_transposed_matrix_fails() -> None:
    for example in (e for e in EXAMPLES if e.section):
        companion = lookup(f"{example.id}.companion")
        for name, value in companion.inputs.items():
            if name.startswith("W"):
                turned = {**companion.inputs, name: np.transpose(value)}
                got = define(Arithmetic(), companion.computation, turned)
                assert not np.allclose(got, companion.correct, rtol=1e-3)


def test_the_chain_with_the_misprint_would_show() -> None:
    inputs = {**lookup("network.logits").inputs, "e": [0, 1, 1]}
    assert define(Arithmetic(), "network.logits", inputs).tolist() == [2, 2, 2]


def test_other_matrices_give_other_results() -> None:
    s = Subject(backend=load_backend("numpy"), dtype="float64")
    W = [[2, 0, 1, 5], [0, 3, 1, 7]]
    found = compute(s, "embedding", {"W": W, "x": [0, 0, 0, 1]})
    assert {way: x.tolist() for way, x in found.items()} == {
        "gather": [5, 7],
        "one-hot product": [5, 7],
    }
