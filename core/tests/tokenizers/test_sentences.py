"""Texts and pairs of texts with what the tokenizer puts around them."""

from __future__ import annotations

import pytest
import tokenizers
from letters import letters

from lmkernel.errors import InputError
from lmkernel.tokenizers import Tokenizer
from lmkernel.tokenizers.sentences import sentence_ids

SPECIAL = [("<start>", 1), ("<end>", 2)]


def framed(pair: str) -> Tokenizer:
    made = letters()
    made._backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="<start> $A <end>", pair=pair, special_tokens=SPECIAL
    )
    return made


def test_one_segment_and_two_ends_between() -> None:
    made = framed("<start> $A <end> <end> $B:0 <end>:0")
    a, b = made.encode_many(["abc", "xy"])
    assert sentence_ids(made, ["abc"], 9) == ([1, *a, 2], [0] * 5)
    assert sentence_ids(made, ["abc", "xy"], 9) == ([1, *a, 2, 2, *b, 2], [0] * 9)
    with pytest.raises(InputError, match="expected at most 8 tokens, the model's context, got 9"):
        sentence_ids(made, ["abc", "xy"], 8)
    assert sentence_ids(made, ["abc", "xy"], 8, truncate=True)[0] == [1, *a[:2], 2, 2, *b, 2]


@pytest.mark.parametrize(
    "parts", [("abc" * 90_000,), ("abc" * 90_000, "xyz" * 90_000), ("a", "xyz" * 90_000)]
)
def test_of_long_texts_that_are_cut_the_beginnings_are_read(
    monkeypatch: pytest.MonkeyPatch, parts: tuple[str, ...]
) -> None:
    made, read = framed("<start> $A <end> <end> $B:0 <end>:0"), []
    expected = sentence_ids(made, [part[:30] for part in parts], 20, truncate=True)
    many = Tokenizer.encode_many
    monkeypatch.setattr(
        Tokenizer, "encode_many", lambda own, texts: read.extend(texts) or many(own, texts)
    )
    assert sentence_ids(made, parts, 20, truncate=True) == expected
    assert max(map(len, read)) == 131_072


def test_two_segments() -> None:
    made = framed("<start> $A <end> $B:1 <end>:1")
    a, b = made.encode_many(["abc", ""])
    assert sentence_ids(made, ["abc", ""], 9) == ([1, *a, 2, *b, 2], [0] * 5 + [1])


def test_a_tokenizer_without_these_tokens_is_named() -> None:
    with pytest.raises(InputError, match="cls_token"):
        sentence_ids(letters(), ["abc"], 9)
