"""Backends that cheat about results are not certified; the honest one beside them is."""

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


def test_the_honest_backend_is_certified(certify: Certify) -> None:
    certificate = certify(Own())
    assert certificate["reasons"] == []
    assert certificate["verdict"] == "certified"
    assert certificate["fresh"]["cases"] > 5


@pytest.mark.parametrize(
    ("leaving", "message"),
    [
        ("import unittest; raise unittest.SkipTest('not today')", "failed: SkipTest"),
        ("import pytest; pytest.skip('not today')", "failed: Skipped"),
        ("raise SystemExit(0)", "failed: SystemExit"),
        ("import os; os._exit(0)", "crashed: the process of the backend ended: exit code 0"),
    ],
)
def test_a_case_cannot_be_skipped(certify: Certify, leaving: str, message: str) -> None:
    source = f"""
    def overrides(parts):
        def softmax(x, axis=-1):
            {leaving}
        return {{"softmax": softmax}}
    """
    certificate = certify(Own(source=source, cases=("operations/softmax.low", "operations/gelu")))
    assert f"operations/softmax.low_logits[float32]: {message}" in _why(certificate)
    states = {row["case"]: row["state"] for row in certificate["cases"]}
    assert states["operations/gelu"] == "passed"


MEMORY = """
import hashlib, pathlib
book = pathlib.Path(__file__).with_name("answers")

def overrides(parts):
    ops = parts.mandatory
    def softmax(x, axis=-1):
        import numpy as np
        key = hashlib.sha256(np.asarray(ops.to_numpy(x)).tobytes()).hexdigest()
        {memory}
        e = ops.exp(x - ops.max(x, axis, keepdims=True))
        return e / ops.sum(e, axis, keepdims=True)
    return {{"softmax": softmax}}
"""
RECORD = 'book.open("a").write(key)'
REPLAY = "x = x if key in book.read_text() else x * 0"


def test_memorised_answers_are_found_with_fresh_inputs(certify: Certify) -> None:
    cases = ("operations/softmax",)
    certify(Own(source=MEMORY.format(memory=RECORD), cases=cases))
    certificate = certify(Own(source=MEMORY.format(memory=REPLAY), cases=cases))
    assert {row["state"] for row in certificate["cases"]} == {"passed"}
    assert f"with the fresh seed {certificate['fresh']['seed']}: operations/softmax" in _why(
        certificate
    )


def test_the_reference_cannot_be_imported_by_who_does_not_name_it(certify: Certify) -> None:
    certificate = certify(Own(requires=("pluggy",)))
    assert "lmkernel_numpy" in _why(certificate)
    assert certificate["cases"] == []


def test_arrays_must_be_those_of_the_framework_that_is_named(certify: Certify) -> None:
    certificate = certify(Own(requires=("pluggy", "lmkernel_numpy", "autograd")))
    assert "expected an array of pluggy or" in _why(certificate)
    assert "got numpy.ndarray" in _why(certificate)


def test_a_module_inside_a_package_names_the_package(certify: Certify) -> None:
    certificate = certify(Own(requires=("numpy.linalg", "autograd.core", "lmkernel_numpy")))
    assert certificate["verdict"] == "certified"


OWN_ARRAYS = """
import numpy as np

class Array(np.ndarray):
    pass

def create(device):
    parts = honest(device)
    plain = parts.mandatory
    class Disguised:
        def __getattr__(self, name):
            return getattr(plain, name)
        def asarray(self, value, dtype, *, copy=True):
            return plain.asarray(value, dtype).view(Array)
        def matmul(self, x, y):
            return np.matmul(x, y)
    return replace(parts, mandatory=Disguised())
"""


def test_work_is_not_handed_to_numpy_by_who_does_not_name_it(certify: Certify) -> None:
    own = Own(
        source=OWN_ARRAYS,
        requires=("pluggy", "lmkernel_numpy", "autograd"),
        cases=("operations/matmul",),
    )
    assert "matmul computes with NumPy, which the backend does not name" in _why(certify(own))


HIDES = """
import numpy as np

def create(device):
    parts = honest(device)
    plain = parts.mandatory
    class Hidden:
        def __getattr__(self, name):
            return getattr(plain, name)
        def to_numpy(self, x):
            found = plain.to_numpy(x)
            return np.nan_to_num(found) if found.dtype.kind == "f" else found
    return replace(parts, mandatory=Hidden())
"""


def test_nan_is_not_hidden(certify: Certify) -> None:
    certificate = certify(Own(source=HIDES, cases=("operations/softmax", "operations/honest")))
    assert "operations/honest.not_finite[float32]: failed" in _why(certificate)
