"""Texts and pairs of texts with what the tokenizer puts around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import tokenizers
from letters import letters

from lmkernel.errors import InputError
from lmkernel.tokenizers.sentences import sentence_ids

if TYPE_CHECKING:
    from lmkernel.tokenizers import Tokenizer

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


def test_two_segments() -> None:
    made = framed("<start> $A <end> $B:1 <end>:1")
    a, b = made.encode_many(["abc", ""])
    assert sentence_ids(made, ["abc", ""], 9) == ([1, *a, 2, *b, 2], [0] * 5 + [1])


def test_a_tokenizer_without_these_tokens_is_named() -> None:
    with pytest.raises(InputError, match="cls_token"):
        sentence_ids(letters(), ["abc"], 9)
