"""A worker's answer is a JSON object whatever was measured."""

from __future__ import annotations

import json

from lmkernel.backend import load_backend
from lmkernel_conformance.budget import Budget
from lmkernel_conformance.cases import case
from lmkernel_conformance.isolation.worker import _attempt
from lmkernel_conformance.precision import PRECISIONS
from lmkernel_conformance.subject import Subject


@case(level="operations", id="a.zero")
def a_zero(s: Subject) -> None:
    """An exact zero with an honest error: a number of ulps would be meaningless."""
    s.judge("zero", 1e-9, Budget(0.0, 1e-9, PRECISIONS["float64"]))


def test_an_error_beside_zero_has_no_last_places() -> None:
    asked = {"case": "operations/a.zero", "dtype": "float64"}
    answer = _attempt(Subject(backend=load_backend("numpy")), a_zero, asked)
    assert (answer["outcome"], answer["share"], answer["ulps"]) == ("passed", 0.25, None)
    json.dumps(answer, allow_nan=False)
