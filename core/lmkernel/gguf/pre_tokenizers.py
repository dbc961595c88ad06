"""What is done to a text before a byte-level BPE merges, by the names that GGUF files give it.

``tokenizer.ggml.pre`` holds a name of llama.cpp's, which several families share. Each splits as
the tokenizer.json of the model that gave it its name: Radford et al. 2019 for GPT-2; the published
files of SmolLM2, Llama 3 and Qwen2.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import CheckpointError
from lmkernel.tokenizers.library import tokenizers_package

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.gguf.file import GgufFile

__all__ = ["pre_tokenizer_of"]


@final
@dataclass(frozen=True, kw_only=True)
class PreTokenizer:
    """One way to treat a text.

    Args:
        words: the expression whose matches are the words; empty for GPT-2's.
        digits: whether each digit is a word of its own.
        ignore_merges: whether a word that is a token is not merged.
        composes: whether characters are composed first (Unicode's NFC).
        adds_bos: whether texts begin with BOS where the file does not say.
    """

    words: str = ""
    digits: bool = False
    ignore_merges: bool = False
    composes: bool = False
    adds_bos: bool = False

    def split(self) -> Any:
        """The step that splits, for the ``tokenizers`` library."""
        library = tokenizers_package()
        steps = library.pre_tokenizers
        end = steps.ByteLevel(add_prefix_space=False, use_regex=not self.words)
        if self.words:
            return steps.Sequence([steps.Split(library.Regex(self.words), "isolated"), end])
        return steps.Sequence([steps.Digits(individual_digits=True), end]) if self.digits else end


_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT2 = PreTokenizer()
_LLAMA3 = PreTokenizer(words=_WORDS + r"\p{N}{1,3}" + _REST, ignore_merges=True, adds_bos=True)
_BY_NAME: Mapping[str, PreTokenizer] = MappingProxyType(
    {
        "default": _GPT2,
        "gpt-2": _GPT2,
        "smollm": PreTokenizer(digits=True),
        "llama-bpe": _LLAMA3,
        "llama3": _LLAMA3,
        "llama-v3": _LLAMA3,
        "qwen2": PreTokenizer(words=_WORDS + r"\p{N}" + _REST, composes=True),
    }
)
"""By the format's names of pre-tokenisers, which families share and of which some have several."""


def pre_tokenizer_of(file: GgufFile) -> PreTokenizer:
    """The one that a file names.

    Raises:
        CheckpointError: a name that is not known here.
    """
    name = file.metadata.get("tokenizer.ggml.pre", "default")
    if not isinstance(name, str) or name not in _BY_NAME:
        known = ", ".join(_BY_NAME)
        raise CheckpointError(
            f"{file.path}: tokenizer.ggml.pre: expected one of {known}, got {name!r:.200}"
        )
    return _BY_NAME[name]
