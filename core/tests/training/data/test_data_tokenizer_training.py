"""A tokenizer is learned from documents, always the same."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lmkernel.errors import InputError
from lmkernel.families.bert import Bert
from lmkernel.tokenizers import load_tokenizer
from lmkernel.training.data.readers import open_rows
from lmkernel.training.data.rows import Documents
from lmkernel.training.data.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["the cat sat on the mat, and the hat", "a naïve café", "the cat is a cat"] * 3
ODD = ["", "the cat", "  spaced\n\tout ", "你好 😀", "<|endoftext|>the"]


@pytest.mark.parametrize("text", ODD)
def test_bytes_express_every_text(text: str) -> None:
    tokenizer = train_tokenizer(TEXTS, 300)
    assert tokenizer.decode(tokenizer.encode(text), skip_special=False) == text


def test_words_become_tokens_and_special_ones_come_first() -> None:
    tokenizer = train_tokenizer(
        TEXTS, 280, {"bos_token": "<|e|>", "eos_token": "<|e|>", "pad_token": "<pad>"}
    )
    assert tokenizer.vocab_size == 280
    assert len(tokenizer.encode(" cat")) == 1
    assert (tokenizer.eos_ids, tokenizer.bos_id, tokenizer.pad_id) == ((0,), 0, 1)
    assert tokenizer.special_ids == {0, 1}


def test_berts_tokens_surround_a_text() -> None:
    tokenizer = train_tokenizer(TEXTS, 290, Bert().special_tokens())
    ids = tokenizer.encode("the cat")
    assert (ids[0], ids[-1]) == (2, 3)
    roles = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    assert [tokenizer.special_id(role) for role in roles] == [0, 1, 2, 3, 4]
    assert tokenizer.decode(ids) == "the cat"


def test_missing_role_is_named() -> None:
    with pytest.raises(InputError, match="expected a tokenizer with a mask_token"):
        train_tokenizer(TEXTS, 280).special_id("mask_token")


@pytest.mark.parametrize("special", [{"eos_token": "<|e|>"}, Bert().special_tokens()])
def test_saved_tokenizer_is_the_same(tmp_path: Path, special: dict[str, str]) -> None:
    first = train_tokenizer(TEXTS, 300, special)
    first.save(tmp_path)
    second = load_tokenizer(tmp_path)
    assert [second.encode(text) for text in ODD] == [first.encode(text) for text in ODD]
    assert second.digest == first.digest
    assert second.special_ids == first.special_ids


def test_another_process_learns_the_same() -> None:
    code = (
        "from lmkernel.training.data.vocabulary import *\n"
        "from lmkernel.training.data.rows import Documents\n"
        "from lmkernel.training.data.readers import open_rows\n"
        "print(train_tokenizer(Documents(open_rows('python-topics')), 1000).digest)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(digests) == 1


def test_other_texts_give_another_digest() -> None:
    assert train_tokenizer(TEXTS, 280).digest != train_tokenizer(TEXTS[:1], 280).digest


def test_many_texts_are_encoded_as_one_by_one() -> None:
    tokenizer = train_tokenizer(TEXTS, 290, Bert().special_tokens())
    assert tokenizer.encode_many(ODD) == [tokenizer.encode(t, special_tokens=False) for t in ODD]
    with pytest.raises(InputError, match="lone surrogate"):
        tokenizer.encode_many(["a", "\ud800"])


def test_ends_of_tokens_are_characters() -> None:
    ids, ends = train_tokenizer(TEXTS, 280).encode_with_ends("你<|endoftext|> ca")
    assert ids[3] == 0
    assert ends[:4] == [1, 1, 1, 14]
    assert ends[-1] == 17


def test_too_small_a_vocabulary_is_refused() -> None:
    with pytest.raises(InputError, match="at least 257 tokens, the bytes and 1 special ones, got"):
        train_tokenizer(TEXTS, 256)


def test_no_documents_are_refused() -> None:
    with pytest.raises(InputError, match="expected documents to train a tokenizer on, got none"):
        train_tokenizer([], 300)


def test_readers_error_comes_through(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n{"text"\n')
    with pytest.raises(InputError, match="line 2: expected a JSON object"):
        train_tokenizer(Documents(open_rows(tmp_path)), 300)
