"""Text from tokens as they come, never half a character.

The law: what came before, followed by all that `TextStream.push` returns and by what `finish`
returns, is `decode` of all ids. A token cannot be decoded alone: it may hold part of a UTF-8
character, and some decoders drop the space before the first token they see. So a window of tokens
is decoded with and without the newest; the difference is new text. Text that ends in U+FFFD may
still grow into a character and is held back. The window begins at the tokens of the last text
returned, so it stays short.

One exception: a decoder that falls back to bytes turns a whole run of byte tokens into U+FFFD when
one of them is broken, including those before it. Here the characters that were whole have been
returned already, and stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TextStream", "overlap"]

_INCOMPLETE = "\ufffd"


@final
class TextStream:
    """Decodes ids one at a time.

    Args:
        decode: the function that gives the text of a sequence of ids.
        before: ids whose text is there already, such as a prompt's.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], before: Sequence[int] = ()) -> None:
        self._decode = decode
        self._window = list(before)
        self._given = len(before)  # tokens at the front of the window whose text is there already
        self._text = decode(before) if before else ""  # their text

    def push(self, token: int) -> str:
        """Add one id; the text that is complete now, which may be empty."""
        self._window.append(token)
        text = self._decode(self._window)
        # U+FFFD at the end may be half a character; a special token adds no text at all
        kept = self._kept(text)
        if len(text) <= kept or text.endswith(_INCOMPLETE):
            return ""
        new = text[kept:]
        # Keep the tokens of this piece as context for the next: a decoder that strips the space of
        # the first token then strips it from text that was returned already. Decoding the shorter
        # window anew, rather than cutting the text, gives the length to compare with.
        self._window = self._window[self._given :]
        self._given = len(self._window)
        self._text = self._decode(self._window)
        return new

    def finish(self) -> str:
        """The rest, with U+FFFD for what never became a character; the stream is empty again."""
        text = self._decode(self._window)
        rest = text[self._kept(text) :]
        self._window, self._given, self._text = [], 0, ""
        return rest

    def _kept(self, text: str) -> int:
        """How much of a text is there already; half a character that came before may be whole."""
        there = self._text if text.startswith(self._text) else self._text.rstrip(_INCOMPLETE)
        return len(there)


def overlap(text: str, stops: Sequence[str]) -> int:
    """The length of the longest end of ``text`` that begins one of some strings."""
    longest = max((len(stop) - 1 for stop in stops), default=0)
    for size in range(min(longest, len(text)), 0, -1):
        if any(stop.startswith(text[-size:]) for stop in stops):
            return size
    return 0
