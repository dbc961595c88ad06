"""A window that goes forward over what comes in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lmkernel.speech.reel import Reel

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = np.arange(200).reshape(100, 2)


@pytest.mark.parametrize("size", [1, 7, 33, 100])
@pytest.mark.parametrize(("step", "count"), [(1, 1), (5, 12), (12, 5), (60, 3), (40, 60)])
def test_windows_are_those_of_the_whole(size: int, step: int, count: int) -> None:
    reel = Reel(ROWS[at : at + size] for at in range(0, 100, size))
    for first in range(0, 120, step):
        np.testing.assert_array_equal(reel.take(first, count), ROWS[first : first + count])


def test_no_more_is_drawn_than_is_looked_at_and_no_more_is_held_than_a_block_besides() -> None:
    drawn = 0

    def blocks() -> Iterator[np.ndarray]:
        nonlocal drawn
        for at in range(0, 100, 10):
            drawn += 10
            yield ROWS[at : at + 10]

    reel = Reel(blocks())
    for first in (0, 3, 25, 61):
        reel.take(first, 14)
        assert first + 14 <= drawn < first + 14 + 10
        assert len(reel._held) == drawn - first
