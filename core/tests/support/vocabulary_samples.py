"""Small tokenizers trained for the tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import gguf
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

if TYPE_CHECKING:
    from pathlib import Path

CORPUS = (
    "the cat sat on the mat, and the hat of the cat sat on the cat",
    "a naïve café: 你好世界, 你好 世界; 12 + 34 = 46",
    "def call(self):\n    return self.call  # twice  the  space",
)
TEXTS = (
    "",
    "the cat",
    "  the  mat  ",
    "don't WE'LL you're",
    "12345 and 6 7\n\n\t x",
    "你好, naïve café 😀👩‍👩‍👧",
    "def call(self):\n\treturn 1",
    "<|im_start|>user\nthe cat<|im_end|>\n",
    " \n ",
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
SPACE = "\u2581"
SENTENCEPIECE = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_level() -> Tokenizer:
    """A byte-level BPE with three special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def sentencepiece() -> Tokenizer:
    """A BPE as Llama 2 has it: bytes as fallback, a space before the text."""
    tokenizer = Tokenizer(models.BPE(**SENTENCEPIECE))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<unk>", "<s>", "</s>", *BYTES],
        initial_alphabet=[SPACE],
        max_token_length=6,
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return _without_special_bytes(tokenizer)


def _without_special_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """The trainer makes its first tokens special; those of bytes are not."""
    saved = json.loads(tokenizer.to_str())
    saved["added_tokens"] = [t for t in saved["added_tokens"] if t["content"] not in BYTES]
    return Tokenizer.from_str(json.dumps(saved))


def add_special(tokenizer: Tokenizer, *tokens: str) -> None:
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in tokens])


def write_directory(folder: Path, tokenizer: Tokenizer, **files: Any) -> Path:
    """``tokenizer.json`` and further JSON files, ``__`` in whose names stands for a dot."""
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(json.dumps(value), encoding="utf-8")
    return folder


def tokens_of(tokenizer: Tokenizer) -> list[str]:
    table = tokenizer.get_vocab()
    return sorted(table, key=table.__getitem__)


def write_metadata(path: Path, fields: dict[str, Any]) -> Path:
    """A GGUF file that holds metadata only; a field that is None is left out."""
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in fields.items():
        _add(writer, f"tokenizer.{key}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, list):
        writer.add_array(key, value)
