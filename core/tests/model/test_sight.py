"""Where vectors of pictures stand among the tokens that a state is fed."""

from __future__ import annotations

import numpy as np

from lmkernel.model.sight import Shown, picture_places

TOKEN = 9


def shown(used: list[int]) -> Shown:
    vectors = np.zeros((2, 3, 4), np.float32)
    return Shown(vectors, np.array([1, 3]), np.array(used), TOKEN)


def test_each_place_has_the_next_vector_of_its_row() -> None:
    tokens = np.array([[9, 1, 2, 3], [9, 9, 1, 9]])
    positions = np.array([[0, 1, 2, 3], [-1, 0, 1, 2]])
    assert shown([0, 0]).places(tokens, positions).tolist() == [[0, -1, -1, -1], [-1, 3, -1, 4]]
    assert shown([0, 1]).places(tokens, positions).tolist() == [[0, -1, -1, -1], [-1, 4, -1, 5]]


def test_a_token_that_was_generated_is_no_place() -> None:
    one = np.array([[TOKEN], [TOKEN]])
    assert shown([1, 0]).places(one, np.array([[5], [5]])).tolist() == [[-1], [3]]
    assert shown([1, 3]).places(one, np.array([[5], [5]])).tolist() == [[-1], [-1]]


def test_what_is_left_follows_from_the_places() -> None:
    state = shown([0, 1]).after(np.array([[0], [4]], np.int32))
    assert state is not None
    assert state.used.tolist() == [1, 2]
    assert state.after(np.array([[-1], [5]], np.int32)) is None


def test_vectors_of_all_rows_are_counted_on() -> None:
    assert picture_places(np.array([[9, 1], [1, 9]]), TOKEN).tolist() == [[0, -1], [-1, 1]]
