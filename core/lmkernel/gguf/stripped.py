"""White space beside a special token that is no part of the text, of which GGUF files say nothing.

Models were trained with tokenizers that strip it; as llama.cpp does, their names tell them apart.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.gguf.file import GgufFile

__all__ = ["stripped_sides"]

_BEFORE_MASK = re.compile("jina-v2-(de|es)")
_BEFORE_BRACKETED_MASK = re.compile("modern-bert")
_AFTER_ALL = re.compile("phi-?3")
_KEPT = ("<unk>", "<s>", "<|endoftext|>")


def stripped_sides(file: GgufFile) -> Callable[[str], dict[str, bool]]:
    """On which sides of a token, by its text, white space is stripped."""
    pre, name = (
        str(file.metadata.get(key, "")).lower() for key in ("tokenizer.ggml.pre", "general.name")
    )
    if _BEFORE_MASK.search(pre):
        return lambda text: {"lstrip": text == "<mask>", "rstrip": False}
    if _AFTER_ALL.search(name):
        return lambda text: {"lstrip": False, "rstrip": text not in _KEPT}
    bracketed = _BEFORE_BRACKETED_MASK.search(name) is not None
    return lambda text: {"lstrip": bracketed and text == "[MASK]", "rstrip": False}
