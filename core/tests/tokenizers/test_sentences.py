"""Texts and pairs of texts with what the tokenizer puts around them."""

from __future__ import annotations

import pytest
import tokenizers
from letters import letters

from lmkernel.errors import CheckpointError, InputError
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


def test_a_segment_that_the_model_does_not_have_is_refused_by_its_number() -> None:
    made = framed("<start> $A <end> $B:7 <end>:1")
    two = made.with_segments(2)
    assert two.segments == 2
    assert two.with_templates({"default": "x"}).segments == 2
    assert sentence_ids(two, ["abc"], 9) == sentence_ids(made, ["abc"], 9)
    for other in (made, made.with_segments(8)):  # of which it is not known, or that has it
        assert sentence_ids(other, ["abc", ""], 9)[1] == [0] * 5 + [1]
    with pytest.raises(
        CheckpointError,
        match=r"tokenizer\.json: post_processor: expected type ids below 2, the model's "
        r"type_vocab_size, got 7",
    ):
        sentence_ids(two, ["abc", "xy"], 9)


def test_where_the_tokenizer_says_nothing_a_model_of_one_segment_has_all_in_it() -> None:
    made = Tokenizer(letters()._backend, {"cls_token": "a", "sep_token": "b"})
    assert sentence_ids(made, ["x", "y"], 9)[1] == [0, 0, 0, 1, 1]
    assert sentence_ids(made.with_segments(1), ["x", "y"], 9)[1] == [0] * 5
