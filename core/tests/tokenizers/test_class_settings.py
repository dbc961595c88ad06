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
from vocabulary_samples import SPACE, sentencepiece, write_directory

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


LLAMA = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}


def cut(folder: Path, text: str, said: dict[str, Any], library: Tokenizer | None = None) -> str:
    """The tokens of a text, with a space between them."""
    config = {"tokenizer_class": "LlamaTokenizer", **LLAMA, **said}
    write_directory(folder, library or sentencepiece(), tokenizer_config__json=config)
    tokenizer = load_tokenizer(folder)
    return " ".join(map(tokenizer.token, tokenizer.encode(text)))


FIRST, ALWAYS, NEVER = (
    [f"{SPACE} h i", f"{SPACE} h i", f"<s> h i </s> {SPACE} h"],
    [f"{SPACE} h i", f"{SPACE} h i", f"<s> {SPACE} h i </s> {SPACE} h"],
    ["h i", f"{SPACE} h i", f"<s> h i </s> {SPACE} h"],
)


@pytest.mark.parametrize(
    ("said", "ids"),
    [
        ({}, FIRST),
        ({"legacy": None, "add_prefix_space": None}, FIRST),
        ({"legacy": False, "add_prefix_space": True}, FIRST),
        ({"legacy": True}, ALWAYS),
        ({"legacy": True, "tokenizer_class": "LlamaTokenizerFast"}, ALWAYS),
        ({"legacy": True, "tokenizer_class": "CodeLlamaTokenizer"}, FIRST),
        ({"add_prefix_space": False}, NEVER),
        ({"add_prefix_space": False, "legacy": True}, NEVER),
    ],
)
def test_a_llama_puts_a_space_where_its_class_does(
    tmp_path: Path, said: dict[str, Any], ids: list[str]
) -> None:
    for text, tokens in zip(("hi", " hi", "<s>hi</s> h"), ids, strict=True):
        assert cut(tmp_path, text, said) == tokens


@pytest.mark.parametrize("prefix", [True, False])
def test_a_llamas_text_comes_back_whole(tmp_path: Path, prefix: bool) -> None:
    cut(tmp_path, "", {"add_prefix_space": prefix})
    tokenizer = load_tokenizer(tmp_path)
    for text in ("the cat", "hi 😀\n  hi", *([] if prefix else [" hi", "   x "])):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    saved = tmp_path / "saved"
    saved.mkdir()
    tokenizer.save(saved)
    assert load_tokenizer(saved).document == tokenizer.document


def test_a_llamas_file_of_bytes_or_of_whole_words_stays_as_it_is(tmp_path: Path) -> None:
    assert cut(tmp_path, "a", {"eos_token": None}, byte_level()) == "a"
    assert json.loads(load_tokenizer(tmp_path).document)["pre_tokenizer"]["type"] == "ByteLevel"
    assert cut(tmp_path, "A", {"eos_token": None}, bert()) == "a"


@pytest.mark.parametrize("model", ["mistral", "phi3", "llava"])
def test_a_model_without_a_class_of_its_own_keeps_the_steps(tmp_path: Path, model: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model}), "utf-8")
    assert cut(tmp_path, "<s>hi", {}) == f"<s> {SPACE} h i"
    assert cut(tmp_path, "hi", {"add_prefix_space": False}) == f"{SPACE} h i"


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize(
    ("name", "said", "scheme"),
    [
        ("XLMRobertaTokenizer", True, "always"),
        ("AlbertTokenizerFast", False, "never"),
        ("DebertaV2Tokenizer", False, "first"),
        ("XGLMTokenizer", None, "always"),
        ("T5Tokenizer", False, "always"),
    ],
)
def test_a_class_with_a_space_before_pieces_follows_its_prefix(
    tmp_path: Path, name: str, said: bool | None, scheme: str, older: bool
) -> None:
    made = Tokenizer(models.Unigram([("[UNK]", 0.0), (SPACE, -1.0), ("a", -1.0)], 0))
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(SPACE)])
    made.decoder = decoders.Metaspace(SPACE)
    config = {"tokenizer_class": name, "add_prefix_space": said}
    write_directory(tmp_path, made, tokenizer_config__json=config)
    if older:  # files of before had no scheme
        path = tmp_path / "tokenizer.json"
        text = path.read_text("utf-8").replace("prepend_scheme", "add_prefix_space")
        path.write_text(text.replace('"always"', "true"), "utf-8")
    document = json.loads(load_tokenizer(tmp_path).document)
    steps = [*document["pre_tokenizer"]["pretokenizers"], document["decoder"]]
    assert [step["prepend_scheme"] for step in steps] == [scheme] * 2


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
        ("CamembertTokenizer", "add_prefix_space"),
        ("LlamaTokenizer", "legacy"),
    ],
)
def test_what_is_no_flag_is_named(tmp_path: Path, name: str, key: str) -> None:
    config = {"tokenizer_class": name, key: "no"}
    write_directory(tmp_path, bert(), tokenizer_config__json=config)
    said = rf"tokenizer_config\.json: {key}: expected true or false, got 'no'"
    with pytest.raises(CheckpointError, match=said):
        load_tokenizer(tmp_path)
