"""Sentence embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from inspected import small_encoder, small_llama
from letters import enclosed
from sentence_folders import TEXTS, ULP

from lmkernel.errors import InputError, UnknownNameError
from lmkernel.inspection import embed, hidden_states
from lmkernel.inspection.embeddings import most_similar, similarities

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


POOLED = {
    "mean": np.mean,
    "max": np.max,
    "first": lambda x, _: x[0],
    "last": lambda x, _: x[-1],
    "mean_sqrt_len_tokens": lambda x, _: x.sum(0) / len(x) ** 0.5,
    "weightedmean": lambda x, _: (
        sum((i + 1) * row for i, row in enumerate(x)) / sum(range(1, len(x) + 1))
    ),
}


@pytest.mark.parametrize("make", [small_encoder, small_llama])
@pytest.mark.parametrize("pooling", sorted(POOLED))
def test_each_text_is_pooled_over_its_own_tokens(
    make: Callable[..., Any], pooling: str, tmp_path: Path
) -> None:
    model = make(tmp_path / "model", enclosed())
    rows = [hidden_states(model, text, [-1])[0] for text in TEXTS]
    expected = [POOLED[pooling](row, 0) for row in rows]  # type: ignore[operator]  # functions of two sorts
    got = embed(model, TEXTS, pooling)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=ULP, atol=1e-9)


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_batches_change_nothing_and_keep_the_order(batch: int, tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert")
    np.testing.assert_allclose(
        embed(model, TEXTS, batch=batch), embed(model, TEXTS), rtol=ULP, atol=1e-9
    )


@pytest.mark.parametrize(("make", "usual"), [(small_encoder, "mean"), (small_llama, "last")])
def test_usual_pooling_of_a_folder_that_says_nothing(
    make: Callable[..., Any], usual: str, tmp_path: Path
) -> None:
    model = make(tmp_path / "model")
    plain = embed(model, TEXTS)
    np.testing.assert_array_equal(plain, embed(model, TEXTS, usual, normalize=False))
    lengths = np.linalg.norm(embed(model, TEXTS, normalize=True), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)
    assert (abs(np.linalg.norm(plain, axis=1) - 1) > 0.01).any()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("cosine", 3 / 13**0.5), ("dot", 6), ("euclidean", -(5**0.5)), ("manhattan", -3)],
)
def test_similarities_of_every_kind(kind: str, expected: float) -> None:
    found = similarities(np.array([2.0, 0]), np.array([[3.0, 2], [2, 0]]), kind)
    assert found[0] == pytest.approx(expected)
    assert found.argmax() == (0 if kind == "dot" else 1)


def test_the_nearest_are_by_the_cosine() -> None:
    vectors = np.array([[1, 0], [0, 2], [3, 1], [-1, 0], [0, 0]], np.float32)
    found = most_similar(vectors, 2)
    assert [[i for i, _ in near] for near in found] == [[2, 1], [2, 0], [0, 1], [1, 4], [0, 1]]
    assert found[0][0][1] == pytest.approx(3 / 10**0.5)
    assert len(most_similar(vectors, 9)[0]) == 4


@pytest.mark.parametrize(
    ("texts", "options", "error", "message"),
    [
        (["a", 1], {}, InputError, "expected texts, got 1"),
        (["a", None], {}, InputError, "expected texts, got None"),
        ([], {}, InputError, r"expected one text or more, got \[\]"),
        (["a", ""], {}, InputError, "at least one token id, got none"),
        (["a" * 17], {}, InputError, "at most 16 tokens, the model's context, got 17"),
        (["a"], {"pooling": "mode"}, UnknownNameError, "unknown pooling 'mode'"),
        (["a"], {"batch": 0}, InputError, "batch: expected a whole number of at least 1, got 0"),
    ],
)
def test_what_cannot_be_embedded_is_named(
    texts: Any, options: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        embed(small_encoder(tmp_path / "bert"), texts, **options)


def test_a_lone_text_has_a_lone_vector(tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert")
    lone = embed(model, "abc")
    np.testing.assert_array_equal(lone, embed(model, ["abc"])[0])
