"""What stands before a text that a model goes on from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmkernel.tokenizers import Tokenizer

__all__ = ["opening_ids"]


def opening_ids(tokenizer: Tokenizer) -> list[int]:
    """The special tokens that a tokenizer puts before a text, such as ``<s>``; often none.

    A prompt has them wherever it is generated from or scored, so a text that is learned has them
    too.
    """
    framed = tokenizer.framed(["a"])
    first = next((n for n, (*_, text) in enumerate(framed) if text is not None), 0)
    return [token for token, *_ in framed[:first]]
