"""Where each value of the settings came from, so that every complaint says it.

Python's own reader of TOML does not say on which line a key stands. The text that is searched for
them was read by it already, so it is valid TOML 1.0 (toml.io/en/v1.0.0), and following its
structure is enough.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, final

from lmkernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ARGUMENTS", "KeyPath", "Locations", "dotted_key", "key_lines", "quote"]

KeyPath = tuple[str | int, ...]
"""Keys, and numbers from 0 on inside arrays, from the document's root."""

ARGUMENTS = "among the arguments"
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_TOKEN = re.compile(
    r'''(?P<space>[ \t\r]+|\#[^\n]*)
      | (?P<newline>\n)
      | (?P<string>"""(?:\\[\s\S]|[^\\])*?"{3,5} | \'\'\'[\s\S]*?'{3,5}
        | "(?:\\.|[^"\\\n])*" | '[^'\n]*')
      | (?P<mark>[\[\]{},=.])
      | (?P<bare>[^\s\[\]{},=.#"']+)''',
    re.VERBOSE,
)


def dotted_key(path: KeyPath) -> str:
    """A path as TOML writes it: ``optimizer.rate``, ``data."a b"``, ``widths[2]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _BARE.fullmatch(part) else quote(part)
            text += f".{name}" if text else name
    return text


def quote(text: str) -> str:
    """A string as TOML writes it: as JSON does, and with the one sign that only TOML forbids."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@final
@dataclass(frozen=True)
class Locations:
    """The origin of a tree of values.

    Args:
        source: what is named where nothing nearer is known: a file, or ``"the flags"``.
        lines: of the file, by path.
        flags: the paths that arguments, flags or keywords, set in place of the file.
    """

    source: str
    lines: Mapping[KeyPath, int] = field(default_factory=lambda: MappingProxyType({}))
    flags: frozenset[KeyPath] = frozenset()

    def of(self, path: KeyPath) -> str:
        """The origin of a value, or of the nearest thing around it that has one."""
        for length in range(len(path), 0, -1):
            near = path[:length]
            if near in self.flags:
                return ARGUMENTS
            if near in self.lines:
                return f"{self.source}, line {self.lines[near]}"
        inside = any(path and flag[: len(path)] == path for flag in self.flags)
        return ARGUMENTS if inside else self.source

    def error(self, path: KeyPath, complaint: str) -> ConfigError:
        """A `ConfigError` about the value at a path."""
        name = dotted_key(path)
        return ConfigError(": ".join(part for part in (self.of(path), name, complaint) if part))


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

    def _skip(self, mark: str) -> bool:
        """Step over this mark, if it is at hand; whether it was."""
        at_hand = self._next == ("mark", mark)
        if at_hand:
            self._advance()
        return at_hand

    def document(self) -> None:
        table: KeyPath = ()
        self._blanks()
        while self._next[0]:
            if self._skip("["):
                table = self._header()
            else:
                self._pair(table)
            self._blanks()

    def _header(self) -> KeyPath:
        """``[a.b]`` or ``[[a.b]]``; each part goes on in the last element of an array of tables."""
        line, is_array = self._line, self._skip("[")
        path: KeyPath = ()
        *parents, name = self._key()
        for part in parents:
            path = self._within((*path, part), line)
        path = (*path, name)
        if is_array:
            self._last[path] = self._last.get(path, -1) + 1
            path = self._within(path, line)
        self.lines[path] = line
        while self._skip("]"):
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
            self._skip(".")
        return parts

    def _pair(self, table: KeyPath) -> None:
        line, path = self._line, table
        for part in self._key():
            path = (*path, part)
            self.lines.setdefault(path, line)
        self._skip("=")
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._skip("["):
            self._array(path)
        elif self._skip("{"):
            while not self._skip("}"):
                self._pair(path)
                self._skip(",")
        else:  # a string, or what numbers and dates are made of
            while self._next[0] in {"bare", "string"} or self._next[1] == ".":
                self._advance()

    def _array(self, path: KeyPath) -> None:
        number = 0
        self._blanks()
        while not self._skip("]"):
            self.lines[*path, number] = self._line
            self._value((*path, number))
            number += 1
            self._blanks()
            self._skip(",")
            self._blanks()


def _name(token: str) -> str:
    """What a bare or quoted part of a key says."""
    in_quotes = token[0] in "\"'"
    return str(tomllib.loads(f"key = {token}")["key"]) if in_quotes else token
