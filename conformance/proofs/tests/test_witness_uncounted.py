"""The oracle's positions that leave a token out, against those counted one token at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmkernel.config import EmbeddingConfig
from lmkernel_conformance.oracle.arithmetic import Arithmetic
from lmkernel_conformance.oracle.model import embed
from lmkernel_proofs.witnesses import stacks
from lmkernel_proofs.witnesses.precise import exact

TOKENS = np.array([[3, 1, 1, 4, 1, 2], [1, 1, 1, 3, 1, 4], [1, 2, 3, 1, 1, 1]])
WHERE = np.array([[*range(6)], [-1, -1, 0, 1, 2, 3], [*range(4), -1, -1]])
TABLES = {
    "e.tokens.weight": np.arange(20.0).reshape(5, 4) / 8,
    "e.positions.weight": np.arange(32.0).reshape(8, 4) * 4,
}


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
@pytest.mark.parametrize("uncounted", [None, 1, 4])
def test_rows_are_those_of_the_witness(positions: str, uncounted: int | None) -> None:
    options: dict[str, Any] = {"positions": positions, "context": 6, "offset": 2}
    config = EmbeddingConfig(width=4, vocab=5, uncounted=uncounted, **options)
    got = embed(Arithmetic(), TOKENS, WHERE, TABLES, "e", config)
    want = stacks.embed(TOKENS, WHERE, {n: exact(x) for n, x in TABLES.items()}, "e", config)
    np.testing.assert_allclose(np.asarray(got, float), want.astype(float), atol=1e-13)
