"""The tokenizer in a model's folder, loaded when it is asked for: its library is large."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.files import is_there

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["adapters_tokenizer", "folder_tokenizer", "holds_tokenizer"]

_VOCABULARIES = (
    *("tokenizer.json", "spiece.model", "source.spm", "vocab.json", "merges.txt", "vocab.txt"),
    *("tokenizer.model", "sentencepiece.bpe.model"),
)
"""Files of which each is a tokenizer, or most of one, read here or not."""


def holds_tokenizer(folder: Path) -> bool:
    """Whether a folder has a tokenizer at all, of a kind that is read or of another."""
    return any(is_there(folder / name) for name in _VOCABULARIES)


def folder_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder; see `load_tokenizer`."""
    from lmkernel.tokenizers.load import load_tokenizer

    return load_tokenizer(folder)


def adapters_tokenizer(folder: Path, base: Callable[[], Tokenizer]) -> Tokenizer:
    """That of a folder of adapters: its own, or the model's with the folder's own templates.

    Args:
        folder: of the adapters.
        base: gives the model's.
    """
    from lmkernel.tokenizers.load import load_templates

    if is_there(folder / "tokenizer.json"):
        return folder_tokenizer(folder)
    return base().with_templates(load_templates(folder))
