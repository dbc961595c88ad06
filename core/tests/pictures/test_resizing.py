"""Pictures are made smaller and larger by the filters' formulas, which the usual mistakes miss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lmkernel.pictures.processor import resized
from lmkernel.random import uniforms

if TYPE_CHECKING:
    from collections.abc import Callable

BILINEAR, BICUBIC, LANCZOS = 2, 3, 1
RADIUS = {BILINEAR: 1, BICUBIC: 2, LANCZOS: 3}
ONE_LEVEL = 1
"""Pillow rounds to whole levels after the columns and after the rows; values are 0 to 255."""


def triangle(x: float) -> float:
    return max(0.0, 1 - abs(x))


def cubic(x: float) -> float:
    """Keys's kernel, of which Pillow has a = -1/2."""
    x, a = abs(x), -0.5
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def lanczos(x: float) -> float:
    return float(np.sinc(x) * np.sinc(x / 3)) if abs(x) < 3 else 0.0


FILTERS: dict[int, Callable[[float], float]] = {
    BILINEAR: triangle,
    BICUBIC: cubic,
    LANCZOS: lanczos,
}


def weights(old: int, new: int, filter_: int, *, antialias: bool = True) -> np.ndarray:
    """``(new, old)``: the filter around each middle, as wide as the pixels that are made of it."""
    scale = old / new
    wide = max(scale, 1.0) if antialias else 1.0
    table = np.zeros((new, old))
    for i in range(new):
        middle = (i + 0.5) * scale
        first = max(math.floor(middle - RADIUS[filter_] * wide), 0)
        for j in range(first, min(math.ceil(middle + RADIUS[filter_] * wide), old)):
            table[i, j] = FILTERS[filter_]((j + 0.5 - middle) / wide)
    return table / table.sum(1, keepdims=True)


def by_the_formula(
    picture: np.ndarray, size: tuple[int, int], filter_: int, *, antialias: bool = True
) -> np.ndarray:
    """Columns first, then rows, each rounded to whole levels."""
    down = weights(picture.shape[0], size[0], filter_, antialias=antialias)
    along = weights(picture.shape[1], size[1], filter_, antialias=antialias)
    wide = np.clip(np.round(np.einsum("ij,hjc->hic", along, picture.astype(float))), 0, 255)
    return np.clip(np.round(np.einsum("ij,jwc->iwc", down, wide)), 0, 255)


PICTURE = (uniforms(3, "resizing", 24 * 30 * 3).reshape(24, 30, 3) * 256).astype(np.uint8)
SIZES = [(9, 11), (40, 31), (24, 7)]


def farthest(got: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(got.astype(float) - wanted).max())


@pytest.mark.parametrize("filter_", FILTERS)
@pytest.mark.parametrize("size", SIZES)
def test_by_the_formula(size: tuple[int, int], filter_: int) -> None:
    got = resized(PICTURE, size, filter_)
    assert farthest(got, by_the_formula(PICTURE, size, filter_)) <= ONE_LEVEL


@pytest.mark.parametrize("filter_", FILTERS)
def test_without_antialiasing_is_told_apart(filter_: int) -> None:
    got = resized(PICTURE, SIZES[0], filter_)
    plain = by_the_formula(PICTURE, SIZES[0], filter_, antialias=False)
    assert farthest(got, plain) > 10 * ONE_LEVEL


@pytest.mark.parametrize(("filter_", "other"), [(BICUBIC, BILINEAR), (BICUBIC, LANCZOS)])
@pytest.mark.parametrize("size", SIZES)
def test_another_filter_is_told_apart(size: tuple[int, int], filter_: int, other: int) -> None:
    got = resized(PICTURE, size, filter_)
    assert farthest(got, by_the_formula(PICTURE, size, other)) > 2 * ONE_LEVEL
