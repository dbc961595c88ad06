"""A text as an encoder-decoder reads and writes it: with the token that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["ended_ids"]


def ended_ids(tokenizer: Tokenizer, text: str, *, limit: int | None = None) -> list[int]:
    """The ids of a text with the special tokens that the tokenizer puts around it, and an end.

    Args:
        tokenizer: whose ``eos_ids`` end a text; one that puts none of them there gets the first.
        text: any text.
        limit: the most ids; the end of a longer text is cut off, never a special token.

    Raises:
        InputError: the text holds a lone surrogate.
    """
    ids = tokenizer.encode(text, limit=limit)
    if not tokenizer.eos_ids or not set(tokenizer.eos_ids).isdisjoint(ids):
        return ids
    kept = ids if limit is None else ids[: limit - 1]
    return [*kept, tokenizer.eos_ids[0]]
