"""What tokenizers of our own give back, in the form of the ``tokenizers`` library's objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

__all__ = ["EncodedText", "SpecialToken"]


@final
@dataclass
class EncodedText:
    """The ids of a text.

    Args:
        ids: of its tokens.
        offsets: where each begins and ends in the text; empty where a tokenizer does not say.
    """

    ids: list[int]
    offsets: list[tuple[int, int]] = field(default_factory=list)

    def truncate(self, length: int) -> None:
        """Keep the first ones."""
        self.ids, self.offsets = self.ids[:length], self.offsets[:length]


@final
@dataclass(frozen=True)
class SpecialToken:
    """A token that is found in a text before that is cut.

    Args:
        content: the token.
        special: whether it is no part of a text.
        lstrip, rstrip: whether the spaces on a side of it belong to it.
        single_word: whether it is one only between spaces.
        normalized: whether it is found in a normalised text.
    """

    content: str
    special: bool = True
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False
