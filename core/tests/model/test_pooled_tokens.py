"""Heads that pool where ids of tokens say: which column of each row, by numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.config import EmbeddingConfig, HeadConfig, ModelConfig
from lmkernel.errors import ConfigError, InputError
from lmkernel.model import Model
from lmkernel.parameters import nest

BACKEND = load_backend("numpy")
TOKENS = np.array([[5, 6, 1, 7, 1, 1], [1, 1, 1, 1, 9, 1], [9, 9, 1, 1, 9, 9], [3, 8, 9, 9, 2, 4]])
WHERE = np.array([[*range(6)], [-1, 0, 1, 2, 3, 4], [-1, -1, 0, 1, -1, -1], [*range(6)]])
"""The second row is padded before, the third on both sides, of ids that are looked for."""
POOLED = [
    ({"pooling": "last"}, [5, 5, 3, 5]),
    ({"pooling": "last", "skipped": 1}, [3, 4, 2, 5]),
    ({"pooling": "last", "skipped": 400}, [5, 5, 3, 5]),
    ({"pooling": "token", "token": 9}, [0, 4, 2, 2]),
    ({"pooling": "highest"}, [3, 4, 2, 2]),
]


def output(tokens: np.ndarray, where: np.ndarray | None, **options: Any) -> np.ndarray:
    """What a head makes of vectors that are the numbers of their columns."""
    time = tokens.shape[1]
    embedding = EmbeddingConfig(width=1, vocab=10, positions="learned", context=time)
    head = HeadConfig(width=1, size=1, **options)
    values = {
        "embedding.tokens.weight": np.zeros((10, 1)),
        "embedding.positions.weight": np.arange(float(time))[:, None],
        "head.weight": np.ones((1, 1)),
    }
    with BACKEND:
        made = Model(BACKEND, ModelConfig(embedding=embedding, head=head))
        more = {} if where is None else {"positions": BACKEND.ops.asarray(where, "int32")}
        arrays = {name: BACKEND.ops.asarray(x, "float32") for name, x in values.items()}
        tree = nest(made.declare(), arrays)
        found = made.forward(tree, BACKEND.ops.asarray(tokens, "int32"), **more)
        return BACKEND.ops.to_numpy(found)[:, 0]


@pytest.mark.parametrize(("options", "columns"), POOLED)
def test_the_column_of_each_row(options: dict[str, Any], columns: list[int]) -> None:
    got = output(TOKENS, WHERE, **options)
    np.testing.assert_array_equal(got, WHERE[np.arange(4), columns])


def test_a_row_of_nothing_else_gives_its_first() -> None:
    rows = np.array([[1, 1, 1], [1, 1, 4]])
    np.testing.assert_array_equal(output(rows, None, pooling="last", skipped=1), [0, 2])
    np.testing.assert_array_equal(output(rows, None, pooling="token", token=4), [0, 2])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"pooling": "first", "skipped": 1}, "skipped"),
        ({"pooling": "last", "skipped": -1}, "skipped"),
        ({"pooling": "token"}, "token"),
        ({"pooling": "token", "token": -1}, "token"),
        ({"pooling": "last", "token": 1}, "token"),
    ],
)
def test_what_does_not_fit_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=rf"HeadConfig\.{named}: expected"):
        HeadConfig(width=4, size=2, **options)


def test_there_have_to_be_ids() -> None:
    head = HeadConfig(width=4, size=2, pooling="highest")
    with pytest.raises(ConfigError, match="asks for no ids of tokens"):
        ModelConfig(embedding=EmbeddingConfig(kind="vectors", width=4), head=head)
    made = Model(BACKEND, ModelConfig(embedding=EmbeddingConfig(width=4, vocab=9), head=head))
    params = made.place(made.initial(1))
    with BACKEND:
        hidden = BACKEND.ops.asarray(np.zeros((1, 3, 4)), "float32")
        where = BACKEND.ops.asarray(np.arange(3)[None], "int32")
        with pytest.raises(InputError, match="ids of tokens, which say what the head pools"):
            made.output(params, hidden, where)
