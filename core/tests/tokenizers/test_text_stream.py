"""Streamed text never splits a character, and adds up to what decoding gives."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from vocabulary_samples import byte_level, sentencepiece

from lmkernel.tokenizers import TextStream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokenizers import Tokenizer


def of_bytes(ids: Sequence[int]) -> str:
    return bytes(ids).decode("utf-8", "replace")


def test_character_comes_with_its_last_byte() -> None:
    stream = TextStream(of_bytes)
    assert [stream.push(byte) for byte in "é€😀a".encode()] == [
        *("", "é"),
        *("", "", "€"),
        *("", "", "", "😀"),
        "a",
    ]
    assert stream.finish() == ""


def test_what_never_became_a_character_comes_at_the_end() -> None:
    stream = TextStream(of_bytes)
    assert [stream.push(byte) for byte in b"a\xe2\x82"] == ["a", "", ""]
    assert stream.finish() == "\ufffd"
    assert stream.push(ord("b")) == "b"


def test_broken_bytes_before_a_character_are_shown_with_it() -> None:
    stream = TextStream(of_bytes)
    assert [stream.push(byte) for byte in b"\xe2\x82a"] == ["", "", "\ufffda"]


@pytest.mark.parametrize(("make", "first"), [(byte_level, 0), (sentencepiece, 3 + 256)])
def test_any_ids_add_up_to_their_decoding(make: Callable[[], Tokenizer], first: int) -> None:
    """Of byte-level tokens any, broken ones too; of sentencepiece's those that are no bytes."""
    tokenizer, draw = make(), random.Random(3)  # noqa: S311 - not for secrets
    for _ in range(200):
        count, size = draw.randrange(30), tokenizer.get_vocab_size()
        ids = [draw.randrange(first, size) for _ in range(count)]
        stream = TextStream(tokenizer.decode)
        parts = [stream.push(number) for number in ids]
        assert "".join(parts) + stream.finish() == tokenizer.decode(ids)


def test_bytes_as_fallback_come_whole_and_broken_ones_at_the_end() -> None:
    tokenizer = sentencepiece()
    stream = TextStream(tokenizer.decode)
    ids = [tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in b"?\xc3\xa9\xc3"]
    assert [stream.push(number) for number in ids] == ["?", "", "é", ""]
    assert set(stream.finish()) == {"\ufffd"}


def test_window_stays_small() -> None:
    sizes: list[int] = []

    def decode(ids: Sequence[int]) -> str:
        sizes.append(len(ids))
        return of_bytes(ids)

    stream = TextStream(decode)
    for byte in b"word " * 200:
        stream.push(byte)
    assert max(sizes) <= 2
