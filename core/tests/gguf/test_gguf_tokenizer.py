"""A GGUF file's tokenizer gives the ids of the tokenizer that it was made from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import Regex, Tokenizer, pre_tokenizers
from vocabulary_samples import (
    BYTES,
    CORPUS,
    SPECIAL,
    TEMPLATE,
    TEXTS,
    add_special,
    byte_level,
    sentencepiece,
    tokens_of,
    write_metadata,
)

from lmkernel.errors import CheckpointError
from lmkernel.gguf.file import GgufFile
from lmkernel.gguf.tokenizer import gguf_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

SPLIT = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PRE = {
    "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm": pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]  # noqa: FBT003 - no space before the text
    ),
    "qwen2": pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(LLAMA3.replace("{1,3}", "")), "isolated"), SPLIT]
    ),
    "llama-bpe": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), SPLIT]),
}


def byte_level_fields(library: Tokenizer) -> dict[str, Any]:
    tokens = tokens_of(library)
    merges = json.loads(library.to_str())["model"]["merges"]
    return {
        "ggml.model": "gpt2",
        "ggml.pre": "gpt-2",
        "ggml.tokens": tokens,
        "ggml.token_type": [3 if token in SPECIAL else 1 for token in tokens],
        "ggml.merges": [" ".join(pair) for pair in merges],
        "ggml.bos_token_id": 1,
        "ggml.eos_token_id": 2,
        "ggml.add_bos_token": False,
        "chat_template": TEMPLATE,
    }


def sentencepiece_fields(library: Tokenizer) -> dict[str, Any]:
    tokens = tokens_of(library)
    kinds = {"<unk>": 2, "<s>": 3, "</s>": 3} | dict.fromkeys(BYTES, 6)
    return {
        "ggml.model": "llama",
        "ggml.tokens": tokens,
        "ggml.token_type": [kinds.get(token, 1) for token in tokens],
        "ggml.scores": [float(-i) for i in range(len(tokens))],
        "ggml.bos_token_id": 1,
        "ggml.eos_token_id": 2,
        "ggml.unknown_token_id": 0,
    }


def load(tmp_path: Path, fields: dict[str, Any]) -> Any:
    return gguf_tokenizer(GgufFile(write_metadata(tmp_path / "x.gguf", fields)))


@pytest.mark.parametrize("pre", PRE)
def test_byte_level_ids_are_the_originals(tmp_path: Path, pre: str) -> None:
    library = byte_level()
    library.pre_tokenizer = PRE[pre]
    tokenizer = load(tmp_path, byte_level_fields(library) | {"ggml.pre": pre})
    for text in (*TEXTS, *CORPUS):
        assert tokenizer.encode(text) == library.encode(text).ids
        assert tokenizer.decode(tokenizer.encode(text), skip_special=False) == text


def test_pre_tokenisers_differ_where_they_should(tmp_path: Path) -> None:
    """Tokens of two digits exist, and each pre-tokeniser allows or forbids them."""
    fields = byte_level_fields(byte_level())
    fields["ggml.tokens"] += ["99", "999", "Ġ9"]
    fields["ggml.token_type"] += [1, 1, 1]
    fields["ggml.merges"] += ["9 9", "99 9", "Ġ 9"]
    counts = {
        pre: len(load(tmp_path, fields | {"ggml.pre": pre}).encode("999 9"))
        for pre in ("gpt-2", "smollm", "qwen2", "llama-bpe")
    }
    assert counts == {"gpt-2": 2, "smollm": 5, "qwen2": 5, "llama-bpe": 3}


def test_only_llama_3_takes_a_word_whole_that_no_merge_makes(tmp_path: Path) -> None:
    fields = byte_level_fields(byte_level())
    fields["ggml.tokens"].append("zqz")
    fields["ggml.token_type"].append(1)
    counts = [
        len(load(tmp_path, fields | {"ggml.pre": pre}).encode("zqz"))
        for pre in ("llama-bpe", "gpt-2")
    ]
    assert counts == [1, 3]


def test_llama_3_has_three_names(tmp_path: Path) -> None:
    fields = byte_level_fields(byte_level())
    ids = [
        load(tmp_path, fields | {"ggml.pre": pre}).encode("it's 1234 words")
        for pre in ("llama-bpe", "llama3", "llama-v3")
    ]
    assert ids[0] == ids[1] == ids[2]


def test_only_qwen_composes_accents(tmp_path: Path) -> None:
    fields = byte_level_fields(byte_level())
    for pre, composes in (("qwen2", True), ("llama-bpe", False)):
        tokenizer = load(tmp_path, fields | {"ggml.pre": pre})
        assert (tokenizer.encode("e\u0301") == tokenizer.encode("\u00e9")) is composes


def test_special_tokens_ids_and_template(tmp_path: Path) -> None:
    tokenizer = load(tmp_path, byte_level_fields(byte_level()) | {"ggml.eot_token_id": 0})
    assert (tokenizer.bos_id, tokenizer.eos_ids, tokenizer.pad_id) == (1, (2, 0), None)
    assert tokenizer.chat_template == TEMPLATE
    assert tokenizer.decode([1, 2]) == ""


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"chat_template": 7}, "tokenizer.chat_template"),
        ({"chat_template": ["a"]}, "tokenizer.chat_template"),
        ({"chat_templates": ["tool_use"], "chat_template.tool_use": 7}, "template.tool_use"),
    ],
)
def test_chat_template_that_is_no_text_is_refused(
    more: dict[str, Any], where: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=f"{where}: expected a text, got "):
        load(tmp_path, byte_level_fields(byte_level()) | more)


def test_users_own_tokens_are_found_whole_and_are_not_special(tmp_path: Path) -> None:
    fields = byte_level_fields(byte_level())
    fields["ggml.tokens"].append("<think> it")
    fields["ggml.token_type"].append(4)
    tokenizer = load(tmp_path, fields)
    ids = tokenizer.encode("a<think> it")
    assert ids[-1] == tokenizer.vocab_size - 1
    assert tokenizer.decode(ids) == "a<think> it"


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        ({}, [], []),
        ({"ggml.add_bos_token": True}, [1], []),
        ({"ggml.add_bos_token": True, "ggml.add_eos_token": True}, [1], [2]),
        ({"ggml.add_bos_token": None, "ggml.pre": "llama-bpe"}, [1], []),
        ({"ggml.add_bos_token": None}, [], []),
    ],
)
def test_first_and_last_token_are_added_as_the_file_says(
    tmp_path: Path, change: dict[str, Any], before: list[int], after: list[int]
) -> None:
    tokenizer = load(tmp_path, byte_level_fields(byte_level()) | change)
    bare = tokenizer.encode("the cat", special_tokens=False)
    assert tokenizer.encode("the cat") == [*before, *bare, *after]


def test_sentencepiece_ids_are_the_originals(tmp_path: Path) -> None:
    library = sentencepiece()
    tokenizer = load(tmp_path, sentencepiece_fields(library))
    for text in (*TEXTS, *CORPUS):
        ids = tokenizer.encode(text)
        assert ids == [1, *library.encode(text).ids]
        assert tokenizer.decode(ids) == text


def test_sentencepiece_merges_the_best_score_first(tmp_path: Path) -> None:
    tokens = ["<unk>", "<s>", "</s>", "a", "b", "c", "ab", "bc", "abc"]
    fields = sentencepiece_fields(sentencepiece()) | {
        "ggml.tokens": tokens,
        "ggml.token_type": [2, 3, 3, 1, 1, 1, 1, 1, 1],
        "ggml.add_space_prefix": False,
        "ggml.add_bos_token": False,
    }
    better_bc = load(tmp_path, fields | {"ggml.scores": [0.0] * 6 + [-3.0, -1.0, -9.0]})
    assert better_bc.encode("abcb") == [8, 4]
    assert better_bc.encode("bcab") == [7, 6]
    better_ab = load(tmp_path, fields | {"ggml.scores": [0.0] * 6 + [-1.0, -3.0, -9.0]})
    assert better_ab.encode("aabcc") == [3, 8, 5]


def test_sentencepiece_without_the_space_before_a_text(tmp_path: Path) -> None:
    fields = sentencepiece_fields(sentencepiece()) | {"ggml.add_space_prefix": False}
    tokenizer = load(tmp_path, fields)
    assert tokenizer.decode(tokenizer.encode("the cat")) == "the cat"
    assert tokenizer.decode(tokenizer.encode(" the")) == " the"


def test_special_tokens_in_a_sentencepiece_text_are_found(tmp_path: Path) -> None:
    library = sentencepiece()
    add_special(library, "<s>", "</s>")
    tokenizer = load(tmp_path, sentencepiece_fields(library))
    assert tokenizer.encode("the</s>") == [1, *library.encode("the</s>").ids]
    assert tokenizer.encode("the</s>")[-1] == 2


def test_token_that_is_there_twice_has_its_first_id(tmp_path: Path) -> None:
    fields = byte_level_fields(byte_level())
    fields["ggml.tokens"].append(fields["ggml.tokens"][40])
    fields["ggml.token_type"].append(1)
    text = byte_level().decode([40])
    assert load(tmp_path, fields).encode(text) == byte_level().encode(text).ids


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ggml.model": None}, "tokenizer.ggml.model: expected one of gpt2, llama, got None"),
        ({"ggml.model": "bert"}, "expected one of gpt2, llama, got 'bert'"),
        ({"ggml.pre": "new-one"}, "tokenizer.ggml.pre: expected one of .*, got 'new-one'"),
        ({"ggml.tokens": None}, "tokenizer.ggml.tokens: expected a list of str, got nothing"),
        ({"ggml.merges": None}, "tokenizer.ggml.merges: expected a list of str, got nothing"),
        ({"ggml.merges": ["zz qq"]}, "tokenizer.ggml.merges: "),
        ({"ggml.merges": ["abc"]}, "merges: expected two tokens with a space .*, got 'abc'"),
        ({"ggml.merges": ["h  e"]}, "merges: expected two tokens with a space .*, got 'h  e'"),
        ({"ggml.token_type": [1]}, r"token_type: expected \d+ kinds"),
        ({"ggml.bos_token_id": 10**6}, "tokenizer.ggml.bos_token_id: expected an id below"),
        ({"ggml.bos_token_id": None, "ggml.add_bos_token": True}, "bos_token_id is missing"),
        ({"ggml.model": "llama"}, "tokenizer.ggml.scores: expected a list of float, got nothing"),
        ({"ggml.model": "llama", "ggml.scores": [1.0]}, r"scores: expected \d+ scores"),
        ({"ggml.add_bos_token": "yes"}, "add_bos_token: expected true or false, got 'yes'"),
        ({"ggml.add_eos_token": 1}, "add_eos_token: expected true or false, got 1"),
    ],
)
def test_metadata_that_contradict_themselves_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=rf"x\.gguf: .*{message}"):
        load(tmp_path, byte_level_fields(byte_level()) | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ggml.add_space_prefix": 0}, "add_space_prefix: expected true or false, got 0"),
        ({"ggml.scores": {5: float("nan")}}, "scores: .*: expected a finite score, got nan"),
        ({"ggml.tokens": {5: "a" * 10**5}}, "pieces of at most 1000 characters, got 'aaa.* 100000"),
    ],
)
def test_pieces_and_scores_that_cannot_be_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    fields = sentencepiece_fields(sentencepiece())
    for key, value in change.items():
        other = fields.get(key, [])
        changed = isinstance(value, dict)
        fields[key] = [value.get(i, x) for i, x in enumerate(other)] if changed else value
    with pytest.raises(CheckpointError, match=rf"x\.gguf: .*{message}"):
        load(tmp_path, fields)
