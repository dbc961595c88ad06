"""bfloat16 widens exactly and narrows to the nearest even."""

from __future__ import annotations

import numpy as np
import pytest

from lmkernel.checkpoints.dtypes import narrow, to_dtype, widen
from lmkernel.errors import CheckpointError


def bits(*values: int) -> np.ndarray:
    return np.array(values, np.uint16)


def test_widening_and_narrowing_give_every_pattern_back() -> None:
    every = np.arange(2**16, dtype=np.uint32).astype(np.uint16)
    values = widen(every)
    finite = ~np.isnan(values)
    np.testing.assert_array_equal(narrow(values)[finite], every[finite])


@pytest.mark.parametrize(
    ("value", "nearest"),
    [
        (1.0 + 2**-8, 0x3F80),  # a tie: the even one is below
        (1.0 + 3 * 2**-8, 0x3F82),  # a tie: the even one is above
        (1.0 + 2**-8 + 2**-20, 0x3F81),  # just over the tie
        (-1.0 - 3 * 2**-8, 0xBF82),
        (3.4e38, 0x7F80),  # beyond the largest: infinity
        (-0.0, 0x8000),
        (2**-149, 0x0000),  # the smallest subnormal
        (np.inf, 0x7F80),
    ],
)
def test_narrowing_rounds_to_nearest_even(value: float, nearest: int) -> None:
    assert narrow(np.array([value], np.float32))[0] == nearest


@pytest.mark.parametrize("pattern", [0x7F800001, 0xFFFFFFFF, 0x7FC00000])
def test_nan_stays_nan(pattern: int) -> None:
    value = np.array([pattern], np.uint32).view(np.float32)
    assert np.isnan(widen(narrow(value)))[0]


def test_same_dtype_is_the_same_array() -> None:
    array = np.ones(3, np.float32)
    assert to_dtype(array, "float32", "x") is array
    assert to_dtype(array, None, "x") is array


def test_dtype_that_numpy_lacks_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"tensor 'x': expected a dtype among .*'bfloat16'"):
        to_dtype(np.ones(3, np.float32), "bfloat16", "tensor 'x'")
