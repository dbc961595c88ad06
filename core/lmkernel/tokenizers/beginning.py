"""The beginning of a long text, where no more than that is asked for.

A tokenizer takes a second and 200 MB for each megabyte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["beginning"]

_LONG, _WIDE = 2**17, 16
"""Characters of a long text, at least, and for each id that is asked for."""


def beginning(tokenizer: Tokenizer, text: str, limit: int) -> str:
    """The beginning of a long text that has far more tokens than so many, else all of it.

    Where a text is cut its tokens may be others, but not those that stand as far before as the
    half of them.
    """
    found = text[: max(_LONG, _WIDE * limit)]
    if len(found) == len(text):
        return text
    [ids] = tokenizer.encode_many([found])
    return found if len(ids) > 2 * limit else text
