"""What a configuration tells a tokenizer's class goes before the steps of ``tokenizer.json``.

The ids are those of transformers 5.24, which reads the same files.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from vocabulary_samples import write_directory

from lmkernel.errors import CheckpointError
from lmkernel.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

WORDS = ["[UNK]", "a", "A", "é", "e", "你", "##你"]
UNKNOWN: dict[str, Any] = {"unk_token": WORDS[0]}


def bert() -> Tokenizer:
    """Lower case, without accents, with Chinese characters cut apart."""
    made = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, **UNKNOWN))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


def byte_level(*before: Any) -> Tokenizer:
    """Bytes, with no space before a text."""
    symbols = ["<s>", "</s>", "Ġ", "a"]
    made = Tokenizer(models.BPE({symbol: i for i, symbol in enumerate(symbols)}, []))
    step = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([*before, step]) if before else step
    made.decoder = decoders.ByteLevel()
    return made


@pytest.mark.parametrize("name", ["BertTokenizer", "BertTokenizerFast", "MPNetTokenizer"])
@pytest.mark.parametrize(
    ("said", "ids"),
    [
        ({}, [1, 4, 5, 5]),
        ({"do_lower_case": None}, [1, 4, 5, 5]),
        ({"do_lower_case": False}, [2, 3, 5, 5]),  # which leaves accents, too
        ({"strip_accents": False}, [1, 3, 5, 5]),
        ({"tokenize_chinese_chars": False}, [1, 4, 5, 6]),
    ],
)
def test_a_class_of_bert_follows_its_settings(
    tmp_path: Path, name: str, said: dict[str, Any], ids: list[int]
) -> None:
    config = {"tokenizer_class": name, **said}
    write_directory(tmp_path, bert(), tokenizer_config__json=config)
    assert load_tokenizer(tmp_path).encode("A é 你你") == ids


@pytest.mark.parametrize("name", ["GPT2Tokenizer", "Qwen2TokenizerFast", "CohereTokenizer"])
@pytest.mark.parametrize("before", [(), (pre_tokenizers.Digits(),)])
@pytest.mark.parametrize(("said", "ids"), [(True, [2, 3]), (False, [3]), (None, [3])])
def test_a_class_of_bytes_follows_its_prefix(
    tmp_path: Path, name: str, before: Any, said: bool | None, ids: list[int]
) -> None:
    config = {"tokenizer_class": name, "add_prefix_space": said}
    write_directory(tmp_path, byte_level(*before), tokenizer_config__json=config)
    assert load_tokenizer(tmp_path).encode("a") == ids


def test_the_end_of_a_roberta_follows_its_prefix(tmp_path: Path) -> None:
    library = byte_level()
    library.post_processor = processors.RobertaProcessing(
        ("</s>", 1), ("<s>", 0), add_prefix_space=False
    )
    config = {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True}
    write_directory(tmp_path, library, tokenizer_config__json=config)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.encode("a") == [0, 2, 3, 1]
    assert json.loads(tokenizer.document)["post_processor"]["add_prefix_space"] is True


@pytest.mark.parametrize("name", ["PreTrainedTokenizerFast", "BloomTokenizer", None, 5])
def test_other_classes_leave_the_steps_as_they_are(tmp_path: Path, name: object) -> None:
    config = {"tokenizer_class": name, "add_prefix_space": True}
    write_directory(tmp_path, byte_level(), tokenizer_config__json=config)
    assert load_tokenizer(tmp_path).encode("a") == [3]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("BertTokenizer", "do_lower_case"),
        ("ElectraTokenizer", "strip_accents"),
        ("DistilBertTokenizer", "tokenize_chinese_chars"),
        ("RobertaTokenizerFast", "add_prefix_space"),
    ],
)
def test_what_is_no_flag_is_named(tmp_path: Path, name: str, key: str) -> None:
    config = {"tokenizer_class": name, key: "no"}
    write_directory(tmp_path, bert(), tokenizer_config__json=config)
    said = rf"tokenizer_config\.json: {key}: expected true or false, got 'no'"
    with pytest.raises(CheckpointError, match=said):
        load_tokenizer(tmp_path)
