"""Tokenizers whose class makes its steps anew, beside transformers' own of the same files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import transformers.models.auto.tokenization_auto as classes
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoTokenizer
from vocabulary_samples import BYTES, TEXTS, byte_level, sentencepiece, write_directory

from lmkernel.families.tokenizer_classes import keeps_steps
from lmkernel.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

SPACED = [
    *TEXTS,
    "Hello",
    " Hello",
    "<s>[INST] hi [/INST]",
    "<s> [INST] hi </s><s>the cat",
    "</s> the",
    "the cat </s>",
    "\n<s>\nthe",
    "the▁cat",
]
GIVEN = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
OWN = ("TokenizersBackend", "PythonBackend", "PreTrainedTokenizerFast", "MistralCommonBackend")


def begun(made: Tokenizer) -> Tokenizer:
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)]
    )
    return made


def without_bytes() -> Tokenizer:
    """Characters that the vocabulary lacks have no bytes to be written in."""
    saved = json.loads(sentencepiece().to_str())
    words = [word for word in saved["model"]["vocab"] if word not in BYTES]
    saved["model"]["vocab"] = {word: i for i, word in enumerate(words)}
    return Tokenizer.from_str(json.dumps(saved))


def pieces(*before: Any, **step: Any) -> Tokenizer:
    """Unigrams with a space before them."""
    words = ["<unk>", "<s>", "</s>", "▁", "a", "▁a", "b"]
    made = Tokenizer(models.Unigram([(word, -float(i)) for i, word in enumerate(words)], 0))
    made.add_special_tokens(["<s>", "</s>"])
    made.pre_tokenizer = pre_tokenizers.Sequence([*before, pre_tokenizers.Metaspace("▁", **step)])
    made.decoder = decoders.Metaspace("▁", **step)
    return made


def assert_theirs(folder: Path, texts: list[str]) -> None:
    ours, theirs = load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)
    for text in texts:
        ids = theirs(text, add_special_tokens=False)["input_ids"]
        assert ours.encode(text, special_tokens=False) == ids
        assert ours.encode(text) == theirs(text)["input_ids"]
        assert ours.decode(ids, skip_special=False) == theirs.decode(ids)


@pytest.mark.parametrize("legacy", [{}, {"legacy": None}, {"legacy": True}, {"legacy": False}])
@pytest.mark.parametrize("prefix", [None, True, False])
@pytest.mark.parametrize("name", ["LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizer"])
@pytest.mark.parametrize("model", ["llama", "mistral", "phi3", None])
def test_a_llamas_text_is_theirs(
    tmp_path: Path, model: str | None, name: str, prefix: bool | None, legacy: Any
) -> None:
    said = {"tokenizer_class": name, "add_prefix_space": prefix, **legacy, **GIVEN}
    for number, library in enumerate((sentencepiece(), without_bytes())):
        folder, files = tmp_path / str(number), {"tokenizer_config__json": said}
        files |= {"config__json": {"model_type": model}} if model else {}
        assert_theirs(write_directory(folder, begun(library), **files), SPACED)


@pytest.mark.parametrize("prefix", [True, False])
@pytest.mark.parametrize("scheme", ["always", "first", "never"])
@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("XLMRobertaTokenizer", [pre_tokenizers.WhitespaceSplit()]),
        ("CamembertTokenizer", [pre_tokenizers.WhitespaceSplit()]),
        ("XGLMTokenizer", []),
        ("DebertaV2Tokenizer", []),
    ],
)
def test_a_space_before_pieces_is_theirs(
    tmp_path: Path, name: str, before: list[Any], scheme: str, prefix: bool
) -> None:
    said = {"tokenizer_class": name, "add_prefix_space": prefix, **GIVEN}
    write_directory(tmp_path, pieces(*before, prepend_scheme=scheme), tokenizer_config__json=said)
    ours, theirs = load_tokenizer(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    for text in ("a", "ab a", "a<s>a", "b"):
        ids = theirs(text, add_special_tokens=False)["input_ids"]
        assert ours.encode(text, special_tokens=False) == ids


@pytest.mark.parametrize("model", ["gpt2", "granite", "stablelm"])
def test_a_models_class_may_be_another_than_its_files_name(tmp_path: Path, model: str) -> None:
    said = {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}
    files: dict[str, Any] = {"config__json": {"model_type": model}, "tokenizer_config__json": said}
    write_directory(tmp_path, byte_level(), **files)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert load_tokenizer(tmp_path).encode("the cat") == theirs("the cat")["input_ids"]


def test_the_models_without_a_class_of_their_own_are_theirs() -> None:
    table = classes.TOKENIZER_MAPPING_NAMES
    own = {model for model, name in table.items() if name and name.removesuffix("Fast") in OWN}
    assert {model for model in {*table, "llama"} if keeps_steps(model)} == own
