"""Where each value of the settings came from, so that every complaint says it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, final

from lmkernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.settings.lines import KeyPath

__all__ = ["Locations", "dotted", "quoted"]

ARGUMENTS = "among the arguments"
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dotted(path: KeyPath) -> str:
    """A path as TOML writes it: ``optimizer.rate``, ``data."a b"``, ``widths[2]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _BARE.fullmatch(part) else quoted(part)
            text += f".{name}" if text else name
    return text


def quoted(text: str) -> str:
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
        name = dotted(path)
        return ConfigError(": ".join(part for part in (self.of(path), name, complaint) if part))
