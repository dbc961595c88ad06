"""The suite's readers of blocks beside ggml's own package, bit for bit."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from lmkernel_conformance.block_numbers import SIZES, numbers_of_blocks, numbers_of_codes


@pytest.mark.parametrize("kind", SIZES)
def test_numbers_are_those_of_the_gguf_package(kind: str) -> None:
    numbers, size, floats = SIZES[kind]
    random = np.random.default_rng(numbers + size)
    data = random.integers(0, 256, (12, size), np.uint8)
    for at in floats:
        data[:, at : at + 2] = random.normal(size=(12, 1)).astype("<f2").view(np.uint8)
    rows = data.reshape(3, -1)
    expected = gguf.dequantize(rows, gguf.GGMLQuantizationType[kind.upper()])
    np.testing.assert_array_equal(numbers_of_blocks(kind, rows), expected.astype(np.float64))


def test_codes_are_shifted_and_scaled() -> None:
    found = numbers_of_codes(
        np.array([[0, 15, 8, 9]]), np.array([[0.5, -2.0]], np.float32), np.array([[8, 7]])
    )
    assert found.tolist() == [[-4.0, 3.5, -2.0, -4.0]]
