"""On which line each key of a TOML document stands: Python's own reader does not tell.

Constraint: the text was read by `tomllib` already, so it is valid TOML 1.0 (toml.io/en/v1.0.0);
this only follows its structure.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KeyPath", "key_lines"]

KeyPath = tuple[str | int, ...]
"""Keys, and numbers from 0 on inside arrays, from the document's root."""

_TOKEN = re.compile(
    r'''(?P<space>[ \t\r]+|\#[^\n]*)
      | (?P<newline>\n)
      | (?P<string>"""(?:\\[\s\S]|[^\\])*?"{3,5} | \'\'\'[\s\S]*?'{3,5}
        | "(?:\\.|[^"\\\n])*" | '[^'\n]*')
      | (?P<mark>[\[\]{},=.])
      | (?P<bare>[^\s\[\]{},=.#"']+)''',
    re.VERBOSE,
)


def key_lines(text: str) -> Mapping[KeyPath, int]:
    """The line, from 1 on, of every key, table and element of an array, by its path."""
    scan = _Scan(text.replace("\r\n", "\n"))
    scan.document()
    return scan.lines


@final
class _Scan:
    """One pass over the tokens; `_next` is the token at hand, as (kind, text), empty at the end."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._last: dict[KeyPath, int] = {}  # the last element of each array of tables
        self._tokens = _TOKEN.finditer(text)
        self._line = 1
        self._step = 0  # lines that the token at hand spans
        self._next = ("", "")
        self._advance()

    def _advance(self) -> tuple[str, str]:
        """The token at hand, which the following one takes the place of; blanks are left out."""
        came = self._next
        for token in self._tokens:
            self._line += self._step
            self._step = token.group().count("\n")
            kind = token.lastgroup or ""
            if kind != "space":
                self._next = (kind, token.group())
                return came
        self._next = ("", "")
        return came

    def _blanks(self) -> None:
        while self._next[0] == "newline":
            self._advance()

    def _taken(self, mark: str) -> bool:
        """Whether this mark is at hand; it is stepped over."""
        at_hand = self._next == ("mark", mark)
        if at_hand:
            self._advance()
        return at_hand

    def document(self) -> None:
        table: KeyPath = ()
        self._blanks()
        while self._next[0]:
            if self._taken("["):
                table = self._header()
            else:
                self._pair(table)
            self._blanks()

    def _header(self) -> KeyPath:
        """``[a.b]`` or ``[[a.b]]``; each part goes on in the last element of an array of tables."""
        line, is_array = self._line, self._taken("[")
        path: KeyPath = ()
        *parents, name = self._key()
        for part in parents:
            path = self._within((*path, part), line)
        path = (*path, name)
        if is_array:
            self._last[path] = self._last.get(path, -1) + 1
            path = self._within(path, line)
        self.lines[path] = line
        while self._taken("]"):
            pass
        return path

    def _within(self, path: KeyPath, line: int) -> KeyPath:
        self.lines.setdefault(path, line)
        return (*path, self._last[path]) if path in self._last else path

    def _key(self) -> list[str]:
        """The parts of a dotted key."""
        parts = []
        while self._next[0] in {"bare", "string"}:
            parts.append(_name(self._advance()[1]))
            self._taken(".")
        return parts

    def _pair(self, table: KeyPath) -> None:
        line, path = self._line, table
        for part in self._key():
            path = (*path, part)
            self.lines.setdefault(path, line)
        self._taken("=")
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._taken("["):
            self._array(path)
        elif self._taken("{"):
            while not self._taken("}"):
                self._pair(path)
                self._taken(",")
        else:  # a string, or what numbers and dates are made of
            while self._next[0] in {"bare", "string"} or self._next[1] == ".":
                self._advance()

    def _array(self, path: KeyPath) -> None:
        number = 0
        self._blanks()
        while not self._taken("]"):
            self.lines[*path, number] = self._line
            self._value((*path, number))
            number += 1
            self._blanks()
            self._taken(",")
            self._blanks()


def _name(token: str) -> str:
    """What a bare or quoted part of a key says."""
    quoted = token[0] in "\"'"
    return str(tomllib.loads(f"key = {token}")["key"]) if quoted else token
