"""Random streams are the same bits everywhere: known words, exact conversions."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from lmkernel.random import normals, raw_words, uniforms


def test_words_are_these_bits() -> None:
    got = [f"{int(word):016x}" for word in raw_words(42, "init.a", 4)]
    assert got == WORDS


def test_uniforms_are_the_upper_53_bits() -> None:
    words = raw_words(7, "x", 100)
    expected = [(int(word) >> 11) / 2**53 for word in words]
    assert uniforms(7, "x", 100).tolist() == expected


def test_normals_are_these_bits() -> None:
    got = [value.hex() for value in normals(42, "init.a", 4).tolist()]
    assert got == NORMALS


def test_normals_are_quantiles() -> None:
    draws = np.array([(int(word) >> 12) + 0.5 for word in raw_words(3, "q", 2000)]) / 2**52
    expected = [NormalDist().inv_cdf(p) for p in draws.tolist()]
    np.testing.assert_allclose(normals(3, "q", 2000), expected, rtol=1e-14)


def test_seed_and_purpose_key_the_stream() -> None:
    streams = {
        tuple(raw_words(seed, purpose, 2).tolist()) for seed in (0, 1) for purpose in ("a", "b")
    }
    assert len(streams) == 4


WORDS = ["9fa7506542349f01", "019089de0984eaeb", "219bd060b716e76a", "53958f7f7bab7a28"]
NORMALS = [
    "0x1.42a268cb84422p-2",
    "-0x1.40b85e8b7d828p+1",
    "-0x1.1ececed9b3318p+0",
    "-0x1.cc62e93ad8549p-2",
]
