"""Text that comes piece by piece, broken between words where the terminal's line ends."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["WordWrap"]

_TAB, _WIDE = 8, 2
_JOINER, _FIRST_FLAG, _LAST_FLAG = "\u200d", "\U0001f1e6", "\U0001f1ff"
_SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
_OPENING, _CLOSING = ("Ps", "Pi"), ("Pe", "Pf", "Po")


@final
class WordWrap:
    """Passes text on and puts line breaks between its words; the newest word is held until it ends.

    Scripts without spaces are broken between wide characters, but not before what closes. A word
    wider than the line is broken where the line ends. Control characters, which could do anything
    to a terminal, become U+FFFD.

    Args:
        write: takes what is ready to be shown.
        columns: the width of the terminal, asked for each word, since it may change.
    """

    def __init__(self, write: Callable[[str], object], columns: Callable[[], int]) -> None:
        self._write = write
        self._columns = columns
        self._column = 0
        self._gap, self._word = "", ""
        self._inside = False  # a part of the word is shown already

    def push(self, text: str) -> None:
        """Take more text."""
        for character in text:
            self._take(character)

    def close(self) -> None:
        """Show what is held, and end the line."""
        self._show_word()
        self._end_line()

    def _take(self, character: str) -> None:
        if character == "\n":
            self._show_word()
            self._end_line()
        elif character == " ":
            self._show_word()
            self._gap += " "
        elif character == "\t":
            self._show_word()
            self._gap += " " * (_TAB - (self._column + len(self._gap)) % _TAB)
        elif unicodedata.category(character) == "Cc":
            self._word += "" if character == "\r" else "\N{REPLACEMENT CHARACTER}"
        else:
            if self._word and _may_break(self._word[-1], character):
                self._show_word()
            elif len(self._word) > 4 * self._columns():  # it is broken anyhow, so hold no more
                self._show_word(ends=False)
            self._word += character

    def _show_word(self, *, ends: bool = True) -> None:
        from wcwidth import wcswidth

        size, width = max(wcswidth(self._word), 0), self._columns()
        if self._column + len(self._gap) + size > width and self._column and not self._inside:
            self._end_line()
        if self._word:
            self._put_gap(width)
            whole = self._column + size <= width
            for unit in [self._word] if whole else _units(self._word):
                self._put(unit, width)
        self._word, self._inside = "", bool(self._word) and not ends

    def _put_gap(self, width: int) -> None:
        gap = self._gap[: max(width - self._column - 1, 0)]
        self._write(gap)
        self._column += len(gap)
        self._gap = ""

    def _put(self, unit: str, width: int) -> None:
        from wcwidth import wcswidth

        size = max(wcswidth(unit), 0)
        if self._column and self._column + size > width:
            self._end_line()
        self._write(unit)
        self._column += size

    def _end_line(self) -> None:
        self._write("\n")
        self._column, self._gap, self._inside = 0, "", False


def _may_break(before: str, after: str) -> bool:
    """Whether a line may end between two characters that no space parts."""
    return (
        (_is_wide(before) or _is_wide(after))
        and not _belongs(before, after)
        and unicodedata.category(before) not in _OPENING
        and unicodedata.category(after) not in _CLOSING
    )


def _belongs(before: str, after: str) -> bool:
    """Whether a character is shown as one with that before it, as in an emoji of several."""
    from wcwidth import wcwidth

    flag = _FIRST_FLAG <= before <= _LAST_FLAG and _FIRST_FLAG <= after <= _LAST_FLAG
    return flag or before == _JOINER or after in _SKIN_TONES or wcwidth(after) == 0


def _is_wide(character: str) -> bool:
    from wcwidth import wcwidth

    return wcwidth(character) == _WIDE


def _units(word: str) -> Iterator[str]:
    """The characters of a word, those that belong together as one."""
    unit = ""
    for character in word:
        if unit and not _belongs(unit[-1], character):
            yield unit
            unit = ""
        unit += character
    yield unit
