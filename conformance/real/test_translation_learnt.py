"""Something real is learnt: numbers in English words become German ones, those never seen too.

Constraint: rules make the data, so every answer is right or wrong; the measure is sacreBLEU's chrF.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from number_words import english, german, pairs

import lmkernel as lk

if TYPE_CHECKING:
    from pathlib import Path

ORDER = np.random.default_rng(5).permutation(10_000).tolist()
HELD_OUT, LEARNT = ORDER[:200], ORDER[200:6200]


def test_the_rules_are_those_of_the_languages() -> None:
    assert english(7341) == "seven thousand three hundred forty-one"
    assert german(7341) == "siebentausenddreihunderteinundvierzig"
    assert [german(n) for n in (0, 1, 16, 30, 101, 1000)] == [
        *("null", "eins", "sechzehn", "dreißig", "einhunderteins", "eintausend"),
    ]


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_held_out_numbers_are_translated(backend: str, tmp_path: Path) -> None:
    file = tmp_path / "numbers.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in pairs(LEARNT)))
    run = lk.pretrain(
        file,
        out=tmp_path / "run",
        objective="sequences",
        family="t5",
        width=64,
        layers=2,
        heads=4,
        vocab=400,
        steps=400,
        batch=32,
        learning_rate=4e-3,
        context=32,
        backend=backend,
        progress=False,
    )
    rows = pairs(HELD_OUT)
    # asked on another backend than it was learnt on
    found = lk.translate(
        run.model, [row["source"] for row in rows], batch=50, max_new_tokens=32, progress=False
    )
    assert isinstance(found, lk.Rewritings)
    assert found.score([row["target"] for row in rows])["chrf"] > 95
