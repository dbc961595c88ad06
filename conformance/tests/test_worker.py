"""A worker's answer is a JSON object whatever was measured."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

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


def _module(name: str, file: str, code: str) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": name}
    exec(compile(code, file, "exec"), space)  # noqa: S102 - a module of a test
    return space


def test_m12_a_failure_in_a_framework_shows_the_authors_frame_and_the_shapes() -> None:
    """The framework raises a frame further in, in a file of its own."""
    framework = _module(
        "framework.deep", "/site/deep.py", "def dot(x, y):\n    raise ValueError('no')"
    )
    backend = _module(
        "own_backend.ops", "/mine/ops.py", "def matmul(self, x, y):\n    return dot(x, y)"
    )
    backend["dot"] = framework["dot"]
    x, y = np.ones((2, 3), np.float32), np.ones((4, 5))

    @case(level="operations", id="a.product")
    def a_product(_: Subject) -> None:
        backend["matmul"](None, x, y)

    asked = {"case": "operations/a.product", "dtype": "float32"}
    answer = _attempt(Subject(backend=load_backend("numpy")), a_product, asked, "own_backend")
    assert answer["message"] == (
        "ValueError at ops.py:2 in matmul(x (2, 3) float32, y (4, 5) float64): no"
    )
    assert (
        "deep.py:2: no"
        in _attempt(Subject(backend=load_backend("numpy")), a_product, asked, "another")["message"]
    )
