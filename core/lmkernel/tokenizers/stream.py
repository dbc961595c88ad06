"""Text from tokens as they come, never half a character.

The law: all that `TextStream.push` returns, followed by what `finish` returns, is `decode` of all
ids. A token cannot be decoded alone: it may hold part of a UTF-8 character, and some decoders
drop the space before the first token they see. So a window of tokens is decoded with and without
the newest; the difference is new text. Text that ends in U+FFFD may still grow into a character and
is held back. The window begins at the tokens of the last text returned, so it stays short.

One exception: a decoder that falls back to bytes turns a whole run of byte tokens into U+FFFD when
one of them is broken, including those before it. Here the characters that were whole have been
returned already, and stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TextStream"]

_INCOMPLETE = "\ufffd"


@final
class TextStream:
    """Decodes ids one at a time.

    Args:
        decode: the function that gives the text of a sequence of ids.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._given = 0  # how many tokens at the front of the window have had their text returned
        self._text = ""  # their text

    def push(self, token: int) -> str:
        """Add one id; the text that is complete now, which may be empty."""
        self._window.append(token)
        text = self._decode(self._window)
        # U+FFFD at the end may be half a character; a special token adds no text at all
        if len(text) <= len(self._text) or text.endswith(_INCOMPLETE):
            return ""
        new = text[len(self._text) :]
        # Keep the tokens of this piece as context for the next: a decoder that strips the space of
        # the first token then strips it from text that was returned already. Decoding the shorter
        # window anew, rather than cutting the text, gives the length to compare with.
        self._window = self._window[self._given :]
        self._given = len(self._window)
        self._text = self._decode(self._window)
        return new

    def finish(self) -> str:
        """The rest, with U+FFFD for what never became a character; the stream is empty again."""
        rest = self._decode(self._window)[len(self._text) :]
        self._window, self._given, self._text = [], 0, ""
        return rest
