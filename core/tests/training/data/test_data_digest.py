"""A digest tells apart whatever data follow from."""

from __future__ import annotations

import numpy as np

from lmkernel.training.data.digest import digest_of


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
