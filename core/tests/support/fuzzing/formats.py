"""A format: how a small real one is made, how it is changed, and how it is used."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from fuzzing.blobs import change_bytes, change_settings, change_text
from fuzzing.headers import Gguf, change_gguf, change_safetensors
from fuzzing.trees import change_tree, dump

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Change = Callable[[random.Random, Path], bytes]


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        name: of it.
        make: writes a sound example into an empty folder.
        files: the paths in it that are changed, one for each input.
        use: does with a folder all that its user might do.
        change: what is written in place of a file; by default what fits its name.
        named: whether each complaint must name the folder.
    """

    name: str
    make: Callable[[Path], None]
    files: tuple[str, ...]
    use: Callable[[Path], object]
    change: Change | None = None
    named: bool = True

    def make_input(self, draw: random.Random, folder: Path) -> tuple[str, bytes]:
        """The file that is to be changed in a sound folder, and its new content."""
        name = draw.choice(self.files)
        change = self.change or by_suffix
        return name, change(draw, folder / name)


def by_suffix(draw: random.Random, path: Path) -> bytes:
    """A change that fits what the file is; one in ten is of any bytes."""
    if draw.random() < 0.1:
        return _any_bytes(draw, path)
    return _BY_SUFFIX.get(path.suffix, _any_bytes)(draw, path)


def change_json(draw: random.Random, data: bytes) -> bytes:
    """The document with changes; one in sixteen is also damaged as bytes are."""
    text = dump(change_tree(draw, json.loads(data)))
    return change_bytes(draw, text) if draw.randrange(16) == 0 else text


def _any_bytes(draw: random.Random, path: Path) -> bytes:
    return change_bytes(draw, path.read_bytes())


def _text(draw: random.Random, path: Path) -> bytes:
    return change_text(draw, path.read_text("utf-8"))


def _line(draw: random.Random, path: Path) -> bytes:
    """One of the lines of JSON."""
    lines = path.read_bytes().splitlines()
    at = draw.randrange(len(lines))
    lines[at] = change_json(draw, lines[at])
    return b"\n".join(lines)


_BY_SUFFIX: Mapping[str, Change] = MappingProxyType(
    {
        ".json": lambda draw, path: change_json(draw, path.read_bytes()),
        ".jsonl": _line,
        ".toml": lambda draw, path: change_settings(draw, path.read_text("utf-8")),
        ".safetensors": lambda draw, path: change_safetensors(draw, path.read_bytes()),
        ".gguf": lambda draw, path: change_gguf(draw, Gguf.of(path)),
        **dict.fromkeys((".jinja", ".csv", ".txt"), _text),
    }
)
