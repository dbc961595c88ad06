"""Texts are split into words as llama.cpp 0.3.36 (of llama-cpp-python) splits them, by each name.

Its splits are those between bytes which no merge crosses, whichever of all pairs is merged first.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gguf_samples import byte_tokens
from vocabulary_samples import write_metadata

from lmkernel.gguf.file import GgufFile
from lmkernel.gguf.pre_tokenizers import PRE_TOKENIZERS, pre_tokenizer_of
from lmkernel.gguf.tokenizer import gguf_tokenizer

FOUND = json.loads(Path(__file__).with_name("pre_tokenizer_words.json").read_text("utf-8"))
WORDS = {name: found["words"] for found in FOUND["splits"] for name in found["names"]}
WHOLE = {
    *("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"),
    *("jina-v5-nano", "glm4", "glm5", "tekken", "minicpm5", "granite-embed-multi-97m"),
}
"""Where llama.cpp takes a word that is a token whole, though no merge makes it."""


def write(path: Path, pre: str | None) -> GgufFile:
    fields: dict[str, Any] = {
        "ggml.model": "gpt2",
        "ggml.pre": pre,
        "ggml.tokens": [*byte_tokens(), "zj", "zqz"],
        "ggml.merges": ["z j"],
        "ggml.bos_token_id": 0,
    }
    return GgufFile(write_metadata(path / "x.gguf", fields))


def test_each_name_was_tried() -> None:
    assert set(WORDS) == set(PRE_TOKENIZERS)


@pytest.mark.parametrize("pre", WORDS)
def test_words_are_llama_cpps(pre: str, tmp_path: Path) -> None:
    split = pre_tokenizer_of(write(tmp_path, pre)).split()
    for words in WORDS[pre]:
        text = "".join(words)
        assert [text[slice(*place)] for _, place in split.pre_tokenize_str(text)] == words


@pytest.mark.parametrize("pre", WORDS)
def test_beginnings_and_whole_words_are_llama_cpps(pre: str, tmp_path: Path) -> None:
    tokenizer = gguf_tokenizer(write(tmp_path, pre))
    begun, words = tokenizer.encode("zqz"), tokenizer.encode("zqz", special_tokens=False)
    assert (len(begun) > len(words)) is (pre in FOUND["begins_with_bos"])
    assert (len(words) == 1) is (pre in WHOLE)


@pytest.mark.parametrize("pre", [None, ""])
def test_file_that_names_none_is_read_by_default_with_a_warning(
    pre: str | None, tmp_path: Path
) -> None:
    file = write(tmp_path, pre)
    with pytest.warns(
        UserWarning, match=r"x\.gguf: tokenizer\.ggml\.pre is missing: .* may differ"
    ):
        tokenizer = gguf_tokenizer(file)
    text = "".join(WORDS["default"][3])
    assert tokenizer.encode(text) == gguf_tokenizer(write(tmp_path, "default")).encode(text)
