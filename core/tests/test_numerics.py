"""The formats agree with NumPy's, and with bfloat16's definition."""

from __future__ import annotations

import numpy as np
import pytest

from lmkernel.errors import UnknownNameError
from lmkernel.numerics import FORMATS, float32_ulps


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_formats_are_those_of_numpy(name: str) -> None:
    info = np.finfo(name)
    assert FORMATS[name].ulp == float(info.eps)
    assert 2.0 ** FORMATS[name].lowest == float(info.tiny)


def test_bfloat16_has_the_exponents_of_float32_and_eight_digits() -> None:
    assert FORMATS["bfloat16"].ulp == 2.0**-7
    assert FORMATS["bfloat16"].lowest == FORMATS["float32"].lowest


@pytest.mark.parametrize(
    ("name", "count"),
    [("float32", 1.0), ("bfloat16", 2.0**16), ("float16", 2.0**13), ("float64", 2.0**-29)],
)
def test_a_unit_in_those_of_float32(name: str, count: float) -> None:
    assert float32_ulps(name) == count


def test_an_unknown_dtype_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match="unknown dtype 'bfloat'"):
        float32_ulps("bfloat")
