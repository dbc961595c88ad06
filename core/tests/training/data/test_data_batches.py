"""Plain arrays as batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmkernel.errors import InputError
from lmkernel.training.data import ArrayBatches

TABLE = [[0.0, 0.0, 0.0], [0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]]


def test_rows_are_one_batch_in_order() -> None:
    batches = ArrayBatches({"inputs": TABLE, "targets": TABLE})
    assert len(batches) == 1
    for index in (0, 7):
        batch = batches.at(index)
        assert batch["inputs"].dtype == np.float32
        assert (batch["targets"] == np.array(TABLE, np.float32)).all()


def test_last_batch_is_smaller() -> None:
    arrays = {"inputs": np.arange(10).reshape(5, 2), "targets": range(5)}
    batches = ArrayBatches(arrays, batch=2)
    assert [batches.at(n)["targets"].tolist() for n in range(4)] == [[0, 1], [2, 3], [4], [0, 1]]
    assert batches.at(0)["inputs"].dtype == np.int32


def test_shuffled_rows_stay_together() -> None:
    batches = ArrayBatches({"inputs": range(50), "targets": range(50)}, batch=8, shuffle=True)
    found = [batches.at(number) for number in range(len(batches))]
    rows = np.concatenate([batch["inputs"] for batch in found]).tolist()
    assert rows == np.concatenate([batch["targets"] for batch in found]).tolist()
    assert rows != sorted(rows) == list(range(50))


def test_what_a_batch_is_given_does_not_reach_the_data() -> None:
    batches = ArrayBatches({"inputs": TABLE, "targets": TABLE})
    batches.at(0)["inputs"][:] = 9
    assert batches.at(0)["inputs"].max() < 1


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"inputs": TABLE}, r"expected the arrays inputs and targets, got \['inputs'\]"),
        ({"inputs": TABLE, "targets": [1]}, "expected as many rows in each array, got"),
        ({"inputs": ["a"], "targets": [1]}, "inputs: expected rows of numbers, got"),
        ({"inputs": 3, "targets": [1]}, "inputs: expected rows of numbers, got"),
        ({"inputs": [], "targets": []}, "expected at least one example"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ArrayBatches(arrays)


def test_digest_follows_from_names_and_values() -> None:
    made = [
        ArrayBatches({"inputs": TABLE, "targets": TABLE}),
        ArrayBatches({"inputs": TABLE, "targets": TABLE[::-1]}),
        ArrayBatches({"inputs": TABLE, "targets": TABLE, "segments": [0] * 4}),
        ArrayBatches({"inputs": TABLE, "targets": TABLE}, batch=2),
    ]
    assert len({batches.digest for batches in made}) == len(made)
