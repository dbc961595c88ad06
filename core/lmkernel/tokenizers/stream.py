"""Text from tokens as they come, never half a character.

The law: all that `TextStream.push` returns, and then `finish`, put together, is `decode` of all
ids. A token alone cannot be decoded: it may hold a part of a UTF-8 character, and some decoders
drop the space before the first token they see. So a window of tokens is decoded without and with
the newest; the difference is new text. Text that ends in U+FFFD may still grow into a character and
is held back. The window begins at the tokens of the last text given, so its length stays small.
The one exception: a decoder with bytes as fallback turns a whole run of byte tokens into U+FFFD
when one of them is broken, also those before it; here, what was whole was given as it was.
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
        decode: gives the text of a sequence of ids.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._given = 0  # tokens at the front of the window whose text was given already
        self._text = ""  # their text

    def push(self, token: int) -> str:
        """Add one id; the text that is complete now, which may be empty."""
        self._window.append(token)
        text = self._decode(self._window)
        if len(text) <= len(self._text) or text.endswith(_INCOMPLETE):
            return ""
        new = text[len(self._text) :]
        self._window = self._window[self._given :]
        self._given = len(self._window)
        self._text = self._decode(self._window)
        return new

    def finish(self) -> str:
        """The rest, with U+FFFD for what never became a character; the stream is empty again."""
        rest = self._decode(self._window)[len(self._text) :]
        self._window, self._given, self._text = [], 0, ""
        return rest
