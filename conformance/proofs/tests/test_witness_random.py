"""Random bits against a generator over Python's integers, itself held to published answers."""

from __future__ import annotations

import numpy as np
import pytest

from lmkernel.random import normals, raw_words, uniforms
from lmkernel_proofs.vectors import read_vectors
from lmkernel_proofs.witnesses.philox import block, words
from lmkernel_proofs.witnesses.precise import MP

PUBLISHED = read_vectors("published.json")["points"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_answers(name: str) -> None:
    known = {part: [int(word, 16) for word in row] for part, row in PUBLISHED[name].items()}
    c, k = known["counter"], known["key"]
    assert list(block((c[0], c[1], c[2], c[3]), (k[0], k[1]))) == known["words"]


@pytest.mark.parametrize(("seed", "purpose"), [(0, ""), (42, "init.a"), (2**64 - 1, "dropout")])
def test_streams(seed: int, purpose: str) -> None:
    assert raw_words(seed, purpose, 23).tolist() == words(seed, purpose, 23)


def test_uniforms_are_exact_fractions() -> None:
    exact = [(word // 2**11) / 2**53 for word in words(5, "u", 50)]
    assert uniforms(5, "u", 50).tolist() == exact


def test_normals_are_quantiles_at_a_hundred_digits() -> None:
    got = normals(5, "n", 400)
    for x, word in zip(got.tolist(), words(5, "n", 400), strict=True):
        share = (MP.mpf(word // 2**12) + MP.mpf(0.5)) / 2**52
        exact = MP.sqrt(2) * MP.erfinv(2 * share - 1)
        assert abs(MP.mpf(x) - exact) <= MP.mpf(8e-16) * abs(exact) + np.finfo(float).tiny
