"""Log-probabilities of a text and of a continuation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tokenizers
from inspected import small_encoder, small_llama

from lmkernel.errors import InputError
from lmkernel.generation import likelihood
from lmkernel.inspection import LogProbs, log_probs, logits
from lmkernel.tokenizers import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.language_model import LanguageModel

IDS = [7, 3, 9, 2, 11, 30]


@pytest.fixture
def model(tmp_path: Path) -> LanguageModel:
    return small_llama(tmp_path / "llama")


def expected(model: LanguageModel, ids: list[int]) -> np.ndarray:
    """The log-softmax of all positions, at the token that follows."""
    scores = logits(model, ids)[:-1]
    powers = np.exp(scores)
    found: np.ndarray = np.log(powers[range(len(powers)), ids[1:]] / powers.sum(-1))
    return found


def test_every_token_but_the_first(model: LanguageModel) -> None:
    found = log_probs(model, IDS)
    assert found.tokens == tuple(IDS[1:])
    assert found.values.dtype == np.float64
    np.testing.assert_allclose(found.values, expected(model, IDS), rtol=1e-12)


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_a_continuation_alone(model: LanguageModel, cut: int) -> None:
    found = log_probs(model, IDS[:cut], IDS[cut:])
    assert found.tokens == tuple(IDS[cut:])
    np.testing.assert_allclose(found.values, expected(model, IDS)[cut - 1 :], rtol=1e-12)


def test_chunks_change_nothing(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = log_probs(model, IDS)
    monkeypatch.setattr(likelihood, "_CHUNK", 2)
    np.testing.assert_allclose(log_probs(model, IDS).values, whole.values, rtol=1e-12)


def test_texts_and_ids_mix(model: LanguageModel) -> None:
    ids = model.tokenizer.encode("abcd")
    values = log_probs(model, ids[:2], ids[2:]).values
    for given, continuation in [("ab", "cd"), ("ab", ids[2:]), (np.array(ids[:2]), "cd")]:
        np.testing.assert_array_equal(log_probs(model, given, continuation).values, values)  # type: ignore[arg-type]  # an array is a sequence of ids too


def spelling(merges: list[tuple[str, str]], *, prefix: str = "") -> Tokenizer:
    """Letters that are merged, after a mark before each text."""
    symbols = ["_", *"abcdef", *("".join(pair) for pair in merges)]
    vocabulary = {symbol: number for number, symbol in enumerate(symbols)}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    if prefix:
        made.normalizer = tokenizers.normalizers.Prepend(prefix)
    return Tokenizer(made, {})


def test_texts_are_joined_before_they_are_tokenised(tmp_path: Path) -> None:
    model = small_llama(tmp_path / "llama", spelling([("c", "d")], prefix="_"))
    assert model.tokenizer.encode("ab") == [0, 1, 2]
    assert model.tokenizer.encode("cd") == [0, 7]
    assert log_probs(model, "ab", "cd").tokens == (7,)


def test_a_token_across_the_border_is_split_there(tmp_path: Path) -> None:
    model = small_llama(tmp_path / "llama", spelling([("b", "c")]))
    assert model.tokenizer.encode("abcd") == [1, 7, 4]
    assert log_probs(model, "ab", "cd").tokens == (3, 4)


def test_sums_and_perplexity() -> None:
    found = LogProbs((4, 5, 6), np.log([0.5, 0.25, 0.125]))
    assert found.sum == pytest.approx(math.log(2**-6))
    assert found.mean == pytest.approx(math.log(0.25))
    assert found.perplexity == pytest.approx(4)
    assert str(found) == "3 tokens, log-probability -4.15888, perplexity 4"
    assert repr(found) == f"LogProbs({found})"
    single = LogProbs((4,), np.array([-800.0]))
    assert str(single) == "1 token, log-probability -800, perplexity inf"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1],), "two tokens or more, got one, which follows nothing"),
        (([],), "at least one token id, got none"),
        (([1], []), "at least one token id, got none"),
        (("", "a"), "at least one token id, got none"),
        (("a", ""), "at least one token id, got none"),
        (([1, 61],), "token ids in 0 … 60, got 61"),
        (([1, 2.5],), "integers as token ids, got an array of float64"),
        (([[1, 2]],), "one sequence of ids, got 1 rows"),
        (([1] * 30, [1] * 19), "at most 48 tokens, the model's context, got 49"),
    ],
)
def test_what_cannot_be_scored_is_named(model: LanguageModel, arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        log_probs(model, *arguments)


def test_an_encoder_predicts_no_next_token(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a model that predicts each token from those before it"):
        log_probs(small_encoder(tmp_path / "bert"), IDS)
