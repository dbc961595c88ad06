"""The oracle's choice of what a head reads, against the witness's, in rows padded on both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmkernel.config import EmbeddingConfig, HeadConfig, ModelConfig
from lmkernel_conformance.oracle import model as oracle
from lmkernel_conformance.oracle.arithmetic import Arithmetic
from lmkernel_proofs.witnesses import stacks
from lmkernel_proofs.witnesses.precise import exact

TOKENS = np.array([[1, 3, 1, 4, 1, 1], [4, 4, 1, 1, 4, 4], [3, 4, 2, 4, 1, 2], [0, 1, 1, 1, 4, 1]])
WHERE = np.array([[*range(6)], [-1, -1, 0, 1, -1, -1], [*range(6)], [-1, 0, 1, 2, 3, 4]])
VALUES = {
    "embedding.tokens.weight": np.arange(20.0).reshape(5, 4) / 8,
    "head.weight": np.arange(8.0).reshape(2, 4) - 3,
}


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        ({"pooling": "first"}, [0, 2, 0, 1]),
        ({"pooling": "last"}, [5, 3, 5, 5]),
        ({"pooling": "last", "skipped": 1}, [3, 2, 5, 4]),
        ({"pooling": "token", "token": 4}, [3, 2, 1, 4]),
        ({"pooling": "highest"}, [3, 2, 1, 4]),
    ],
)
def test_columns_are_those_of_the_witness(options: dict[str, Any], columns: list[int]) -> None:
    got = judged_by_the_witness(**options)
    ids = TOKENS[np.arange(4), columns]
    table, product = VALUES.values()
    np.testing.assert_allclose(got, table[ids] @ product.T, atol=1e-13)


def test_a_mean_is_of_real_positions() -> None:
    got = judged_by_the_witness(pooling="mean")
    table, product = VALUES.values()
    means = [table[ids[where >= 0]].mean(0) for ids, where in zip(TOKENS, WHERE, strict=True)]
    np.testing.assert_allclose(got, means @ product.T, atol=1e-13)


def judged_by_the_witness(**options: Any) -> np.ndarray:
    """What the oracle gives with such a head, once the witness has given the same."""
    head = HeadConfig(width=4, size=2, **options)
    config = ModelConfig(embedding=EmbeddingConfig(width=4, vocab=5), head=head)
    got = oracle.forward(Arithmetic(), config, VALUES, TOKENS, positions=WHERE)
    precise = {name: exact(x) for name, x in VALUES.items()}
    want = stacks.forward(config, precise, TOKENS, positions=WHERE)
    np.testing.assert_allclose(np.asarray(got, float), want.astype(float), atol=1e-13)
    return np.asarray(got, float)
