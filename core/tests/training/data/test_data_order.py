"""The order of rows, each once an epoch and drawn from the seed; digests tell data apart."""

from __future__ import annotations

import numpy as np
import pytest

from lmkernel.errors import InputError
from lmkernel.random import raw_words
from lmkernel.training.data.order import Order, digest_of


def epoch(order: Order, number: int) -> list[int]:
    batches = (order.at(number * len(order) + step) for step in range(len(order)))
    return [int(row) for rows, real, _ in batches for row in rows[:real]]


@pytest.mark.parametrize(("rows", "batch"), [(12, 4), (13, 4), (3, 8), (1, 1), (100, 7)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_each_row_comes_once_an_epoch(rows: int, batch: int, shuffle: bool) -> None:
    order = Order(rows, batch, seed=1, shuffle=shuffle)
    for number in range(3):
        assert sorted(epoch(order, number)) == list(range(rows))


def test_epochs_and_seeds_differ() -> None:
    order = Order(50, 8, seed=1, shuffle=True)
    orders = [epoch(order, 0), epoch(order, 1), epoch(Order(50, 8, seed=2, shuffle=True), 0)]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert orders[0] == epoch(order, 0)


def test_order_is_that_of_the_raw_words() -> None:
    words = raw_words(5, "shuffle.3", 9).tolist()
    assert epoch(Order(9, 2, seed=5, shuffle=True), 3) == sorted(range(9), key=words.__getitem__)


def test_known_order() -> None:
    assert epoch(Order(8, 8, seed=42, shuffle=True), 0) == [6, 3, 0, 4, 5, 7, 1, 2]


def test_last_batch_is_filled_with_copies_that_are_not_real() -> None:
    rows, real, number = Order(5, 4, seed=0, shuffle=False).at(3)
    assert (rows.tolist(), real, number) == ([4, 4, 4, 4], 1, 1)


def test_batch_of_a_number_does_not_depend_on_what_was_asked_before() -> None:
    fresh = [Order(20, 3, seed=0, shuffle=True).at(index)[0].tolist() for index in range(30)]
    order = Order(20, 3, seed=0, shuffle=True)
    for index in np.argsort(raw_words(0, "test", 30)):
        assert order.at(int(index))[0].tolist() == fresh[index]


@pytest.mark.parametrize(("rows", "batch"), [(0, 1), (1, 0)])
def test_nothing_to_order_is_refused(rows: int, batch: int) -> None:
    with pytest.raises(InputError, match="expected at least one example and a batch of one"):
        Order(rows, batch, seed=0, shuffle=True)


def test_batch_that_would_be_nearly_all_filling_is_refused() -> None:
    assert Order(3, 4096, seed=0, shuffle=False).at(0)[1] == 3
    with pytest.raises(InputError, match="batch: expected at most 4096 for 3 examples, got 10000"):
        Order(3, 10**9, seed=0, shuffle=False)


def test_negative_number_is_refused() -> None:
    with pytest.raises(InputError, match="number of a batch, 0 or more, got -1"):
        Order(4, 2, seed=0, shuffle=True).at(-1)


def test_parts_do_not_run_together() -> None:
    array = np.arange(4, dtype=np.int32)
    made = [
        digest_of(1, 2),
        digest_of(12),
        digest_of("1", "2"),
        digest_of([1, 2]),
        digest_of(array),
        digest_of(array[:2], array[2:]),
        digest_of(array.reshape(2, 2)),
        digest_of(array.view(np.uint32)),
    ]
    assert len(set(made)) == len(made)


def test_equal_parts_have_one_digest() -> None:
    table = np.arange(6).reshape(2, 3)
    assert digest_of(table.T, {"a": 1, "b": 2}) == digest_of(table.T.copy(), {"b": 2, "a": 1})
