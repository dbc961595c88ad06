"""Backends that bend the rules on tolerances, capabilities or known failures are not certified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from own_backends import Own

if TYPE_CHECKING:
    from collections.abc import Callable

    Certify = Callable[[Own], dict[str, Any]]


def _why(certificate: dict[str, Any]) -> str:
    assert certificate["verdict"] == "not certified"
    return "\n".join(certificate["reasons"])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("import lmkernel_conformance.budget as b; b.FACTOR = 1e9", "budget.FACTOR"),
        (
            "import lmkernel_conformance.budget as b; b.Budget.judge = lambda *a: b.Measured(0, 0)",
            "budget.Budget.judge",
        ),
        (
            (
                "from lmkernel_conformance.precision import PRECISIONS as p;"
                " object.__setattr__(p['float32'], 'digits', 4)"
            ),
            "precisions",
        ),
        ("import lmkernel_conformance.discrepancy as d; d.demand = print", "discrepancy.demand"),
        ("import lmkernel_conformance.cases as c; c.CASES = {}", "cases.CASES"),
        ("import numpy as np; np.abs = lambda x: x * 0", "numpy.abs"),
    ],
)
def test_the_suite_cannot_be_changed(certify: Certify, change: str, named: str) -> None:
    source = f"""
    def overrides(parts):
        {change}
        return {{}}
    """
    why = _why(certify(Own(source=source, cases=("operations/gelu_tanh",))))
    assert "the suite was changed while it ran" in why
    assert named in why


def test_an_operation_that_is_declared_unsupported_is_a_state_of_its_own(certify: Certify) -> None:
    certificate = certify(Own(capabilities="unsupported={'gelu': 'no erf'}"))
    assert certificate["verdict"] == "certified"
    states = {row["case"]: row["state"] for row in certificate["cases"]}
    assert states["operations/gelu"] == "unsupported"
    assert states["operations/softmax"] == "passed"


def test_the_words_of_a_refusal_are_no_refusal(certify: Certify) -> None:
    source = """
    from lmkernel.errors import CapabilityError
    def overrides(parts):
        def softmax(x, axis=-1):
            raise CapabilityError("the backend declares 'gelu' unsupported: no erf")
        return {"softmax": softmax}
    """
    certificate = certify(Own(source=source, capabilities="unsupported={'gelu': 'no erf'}"))
    assert "operations/softmax[float32]: failed" in _why(certificate)


@pytest.mark.parametrize(
    ("operation", "cases", "profile"),
    [
        ("attention", "operations/attention.one_query", "inference"),
        ("value_and_grad", "gradients/softmax", "training"),
        ("random_uniform", "operations/random_uniform", "inference"),
    ],
)
def test_what_is_indispensable_cannot_be_declared_away(
    certify: Certify, operation: str, cases: str, profile: str
) -> None:
    declared = f"unsupported={{'{operation}': 'later'}}"
    why = _why(certify(Own(capabilities=declared, cases=(cases,), profile=profile)))
    assert f"{operation} cannot be declared unsupported in a profile that needs it" in why


def test_a_dtype_that_is_declared_must_be_there(certify: Certify) -> None:
    source = """
    def create(device):
        parts = honest(device)
        plain = parts.mandatory
        class Wide:
            def __getattr__(self, name):
                return getattr(plain, name)
            def asarray(self, value, dtype, *, copy=True):
                return plain.asarray(value, _wide(dtype), copy=copy)
            def full(self, shape, value, dtype):
                return plain.full(shape, value, _wide(dtype))
            def dtype(self, x):
                return "bfloat16" if plain.dtype(x) == "float32" else plain.dtype(x)
        return replace(parts, mandatory=Wide())

    def _wide(dtype):
        return "float32" if dtype == "bfloat16" else dtype
    """
    declared = "dtypes=('float32', 'float64', 'bfloat16')"
    why = _why(certify(Own(source=source, capabilities=declared, cases=("operations/narrow.",))))
    assert "expected an array whose dtype is bfloat16, got float32" in why


def test_capabilities_are_the_same_in_every_process(certify: Certify) -> None:
    changing = "unsupported={} if 'worker' in __import__('sys').argv[0] else {'gelu': 'x'}"
    why = _why(certify(Own(capabilities=changing)))
    assert "unsupported: the spec declares {'gelu': 'x'}, the process that loads it {}" in why


KNOWN = """
[[failure]]
case = "{case}"
exception = "{exception}"
reason = "the kernel is wrong"
link = "https://example.org/1"
expires = {expires}
"""
WRONG = """
def overrides(parts):
    return {"gelu": lambda x: parts.mandatory.exp(x)}
"""


def _known_failures_file(
    case: str = "operations/gelu", exception: str = "Discrepancy", expires: str = "2999-01-01"
) -> str:
    return KNOWN.format(case=case, exception=exception, expires=expires)


def test_a_known_failure_is_a_state_of_its_own(certify: Certify) -> None:
    cases = ("operations/gelu_tanh", "operations/softmax", "operations/gelu")
    known = _known_failures_file() + _known_failures_file("operations/gelu.far")
    certificate = certify(Own(source=WRONG, known=known, cases=cases))
    assert certificate["reasons"] == []
    assert certificate["verdict"] == "certified"
    assert [r["state"] for r in certificate["cases"] if r["case"] == "operations/gelu"] == [
        "known failure",
        "known failure",
    ]


@pytest.mark.parametrize(
    ("source", "known", "message"),
    [
        ("", _known_failures_file(), "listed as a known failure, but it passes"),
        (
            WRONG,
            _known_failures_file(expires="2020-01-01"),
            "its known failure expired on 2020-01-01",
        ),
        (
            WRONG,
            _known_failures_file(exception="TypeError"),
            "its known failure is TypeError, got Discrepancy",
        ),
        (
            "",
            _known_failures_file("operations/gelo"),
            "the known failure operations/gelo matches nothing",
        ),
        (
            WRONG.replace("gelu", "softmax").replace("lambda x", "lambda x, axis=-1"),
            _known_failures_file("document/attention.weights"),
            "gradients, random numbers and checkpoints are never excused",
        ),
    ],
)
def test_a_known_failure_that_does_not_hold(
    certify: Certify, source: str, known: str, message: str
) -> None:
    cases = ("operations/gelu", "document/attention.weights")
    assert message in _why(certify(Own(source=source, known=known, cases=cases)))
