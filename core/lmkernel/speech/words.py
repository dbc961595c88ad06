"""Words of a part, made of tokens and the times of these."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Word", "words_of"]

_UNSPACED = frozenset(("zh", "ja", "th", "lo", "my", "yue"))
"""Languages that write no spaces between words."""
_CUT = "\ufffd"
"""What stands for a character of which a token has a part."""


@final
@dataclass(frozen=True)
class Word:
    """A word, with the signs around it; in a language without spaces, a token.

    Args:
        begin: in seconds.
        end: in seconds.
        text: as the model writes it, so that a space may stand before it.
    """

    begin: float
    end: float
    text: str

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"begin": round(self.begin, 3), "end": round(self.end, 3), "text": self.text.strip()}


def words_of(
    tokens: Sequence[int],
    times: Sequence[float],
    decode: Callable[[Sequence[int]], str],
    language: str,
) -> tuple[Word, ...]:
    """The words of tokens of text.

    Args:
        tokens: of text alone.
        times: in seconds, at which each begins, and at which the last one ends.
        decode: gives the text of tokens.
        language: the code of what is spoken.
    """
    pieces: list[tuple[int, str]] = []
    held: list[int] = []
    first = 0
    for at, token in enumerate(tokens):
        first = first if held else at
        held.append(token)
        text = decode(held)
        if _CUT in text and at + 1 < len(tokens):
            continue  # the rest of a character comes with the next token
        if pieces and _goes_on(text, language):
            pieces[-1] = (pieces[-1][0], pieces[-1][1] + text)
        else:
            pieces.append((first, text))
        held = []
    ends = [*(begin for begin, _ in pieces[1:]), len(tokens)][: len(pieces)]
    return tuple(
        Word(times[begin], times[end], text)
        for (begin, text), end in zip(pieces, ends, strict=True)
    )


def _goes_on(text: str, language: str) -> bool:
    """Whether a text belongs to the word before it."""
    signs = all(unicodedata.category(c)[0] in "PS" for c in text.strip())
    return signs or not (language in _UNSPACED or text.startswith(" "))
