"""Tokens are read at random from pieces as from one array."""

from __future__ import annotations

import numpy as np
import pytest

from lmkernel.errors import InputError
from lmkernel.training.data import Tokens


def pieced() -> tuple[Tokens, np.ndarray]:
    arrays = [np.arange(50, dtype="<u2"), np.arange(100, 130, dtype="<u2")]
    pieces = np.array([[0, 3, 10], [0, 20, 21], [1, 0, 30], [0, 48, 50]])
    whole = np.concatenate([arrays[n][a:b] for n, a, b in pieces])
    return Tokens(arrays, pieces, digest="", highest=129), whole


def test_every_stretch_is_that_of_the_whole() -> None:
    tokens, whole = pieced()
    assert len(tokens) == whole.size == 40
    for start in range(41):
        for stop in range(start, 44):
            part = tokens.read(start, stop)
            assert part.dtype == np.int32
            assert part.tolist() == whole[start:stop].tolist()


def test_what_is_read_is_a_copy() -> None:
    array = np.arange(5)
    Tokens.of(array).read(0, 3)[:] = 9
    assert array.tolist() == [0, 1, 2, 3, 4]


def test_a_plain_array_has_a_digest_and_a_highest_token() -> None:
    tokens = Tokens.of([3, 1, 4])
    assert (len(tokens), tokens.highest) == (3, 4)
    assert tokens.digest == Tokens.of([3, 1, 4]).digest != Tokens.of([3, 1, 5]).digest


@pytest.mark.parametrize("wrong", [[], [[1]], [0.5], [1, -1]])
def test_no_tokens_are_refused(wrong: list[object]) -> None:
    with pytest.raises(InputError, match="expected a sequence of token ids of 0 or more, got"):
        Tokens.of(wrong)  # type: ignore[arg-type]  # that is the point
