"""Convolutions in time beside sums over their kernels, one output after the other."""

from __future__ import annotations

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.components.convolution import convolve, convolve_groups

BACKEND = load_backend("numpy")
OPS = BACKEND.ops


def plain(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, edge: int
) -> np.ndarray:
    """One output after the other."""
    kernel = weight.shape[2]
    padded = np.pad(x, ((0, 0), (edge, edge), (0, 0)))
    return np.stack(
        [
            np.einsum("bki,oik->bo", padded[:, at : at + kernel], weight) + bias
            for at in range(0, padded.shape[1] - kernel + 1, stride)
        ],
        1,
    )


def arrays(**values: np.ndarray) -> dict[str, object]:
    return {name: OPS.asarray(value, "float64") for name, value in values.items()}


@pytest.mark.parametrize("edge", [0, 1, 2])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("time", [7, 8, 11])
def test_a_convolution_is_the_sum_over_its_kernel(
    time: int, kernel: int, stride: int, edge: int
) -> None:
    drawn = np.random.default_rng(3)
    x, weight, bias = (drawn.normal(size=s) for s in ((2, time, 5), (4, 5, kernel), (4,)))
    with BACKEND:
        params = arrays(weight=weight, bias=bias)
        got = OPS.to_numpy(convolve(OPS, OPS.asarray(x, "float64"), params, stride, edge))
    np.testing.assert_allclose(got, plain(x, weight, bias, stride, edge), atol=1e-13)


def test_groups_see_their_own_shares() -> None:
    drawn = np.random.default_rng(4)
    x, weight, bias = (drawn.normal(size=s) for s in ((2, 9, 6), (8, 3, 4), (8,)))
    with BACKEND:
        params = arrays(weight=weight, bias=bias)
        got = OPS.to_numpy(convolve_groups(OPS, OPS.asarray(x, "float64"), params, 2, 2))
    parts = [
        plain(x[..., i * 3 : i * 3 + 3], weight[i * 4 : i * 4 + 4], bias[i * 4 : i * 4 + 4], 1, 2)
        for i in range(2)
    ]
    np.testing.assert_allclose(got, np.concatenate(parts, -1), atol=1e-13)
