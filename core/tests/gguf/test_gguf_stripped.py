"""White space beside special tokens is stripped where llama.cpp strips it, by a model's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import pytest
from vocabulary_samples import BYTES, sentencepiece, tokens_of

from lmkernel.gguf.file import GgufFile
from lmkernel.gguf.tokenizer import gguf_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.tokenizers.tokenizer import Tokenizer

SPECIAL = {"<|endoftext|>": 3, "<|user|>": 3, "<|end|>": 3, "<|own|>": 4, "[MASK]": 3, "<mask>": 3}


def load(path: Path, name: str, pre: str | None = None) -> Tokenizer:
    tokens = tokens_of(sentencepiece())
    kinds = {"<unk>": 2, "<s>": 3, "</s>": 3} | dict.fromkeys(BYTES, 6)
    writer = gguf.GGUFWriter(path / "x.gguf", "phi3")
    writer.add_name(name)
    writer.add_tokenizer_model("llama")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list([*tokens, *SPECIAL])
    writer.add_token_types([*(kinds.get(token, 1) for token in tokens), *SPECIAL.values()])
    writer.add_token_scores([float(-n) for n in range(len(tokens) + len(SPECIAL))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return gguf_tokenizer(GgufFile(path / "x.gguf"))


@pytest.mark.parametrize("name", ["Phi-3-mini", "the PHI3 of x", "phi-3.5"])
@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("<|user|>\nthe cat<|end|>\n<|user|> \n\t the", "<|user|>the cat<|end|><|user|>the"),
        ("the </s>  cat", "the </s>cat"),
        ("<|own|>  the", "<|own|>the"),
        ("<|end|>\n", "<|end|>"),
    ],
)
def test_white_space_after_special_tokens_of_phi_3(
    name: str, text: str, same: str, tmp_path: Path
) -> None:
    tokenizer = load(tmp_path, name)
    assert tokenizer.encode(text) == tokenizer.encode(same)


def test_three_special_tokens_of_phi_3_keep_it(tmp_path: Path) -> None:
    tokenizer = load(tmp_path, "Phi-3")
    for text in ("<s> the", "<unk>  the", "<|endoftext|> the"):
        assert tokenizer.encode(text) != tokenizer.encode(text.replace(" ", ""))


@pytest.mark.parametrize(
    ("name", "pre", "token"),
    [
        ("x modern-bert", None, "[MASK]"),
        ("x", "jina-v2-de", "<mask>"),
        ("x", "jina-v2-es", "<mask>"),
    ],
)
def test_white_space_before_masks(name: str, pre: str | None, token: str, tmp_path: Path) -> None:
    tokenizer = load(tmp_path, name, pre)
    assert tokenizer.encode(f"the {token}") == tokenizer.encode(f"the{token}")
    assert tokenizer.encode(f"{token} the") != tokenizer.encode(f"{token}the")
    assert tokenizer.encode("the <|user|>") != tokenizer.encode("the<|user|>")


def test_other_models_keep_it(tmp_path: Path) -> None:
    tokenizer = load(tmp_path, "Phi 3 Mini")
    for text in ("<|user|>\nthe", "the [MASK]", "the <mask>", "</s> the"):
        assert tokenizer.encode(text) != tokenizer.encode("".join(text.split()))
