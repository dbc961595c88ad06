"""JSON files of a checkpoint: read with exact errors, written as the ecosystem writes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lmkernel.checkpoints.memory_map import refuse_pointer
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["parse_object", "parse_values", "read_object", "write_object"]


_SPACES = frozenset(" \t\r\n")


def read_object(path: Path, *, required: bool) -> dict[str, Any]:
    """The JSON object in a file; empty when the file is absent and not required.

    Raises:
        CheckpointError: missing though required, unreadable, not UTF-8, not JSON, not an object.
    """
    if not required and not path.exists():
        return {}
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    return parse_object(data, str(path))


def parse_object(data: bytes, what: str) -> dict[str, Any]:
    """Parse a JSON object in which no name is repeated; ``what`` names its place in errors."""
    refuse_pointer(what, data)
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_without_repeats)
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{what}: expected UTF-8, {error.reason}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{what}: expected a JSON object, {_complaint(error)}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{what}: expected a JSON object, got {type(value).__name__}")
    return value


def parse_values(text: str, what: str) -> Iterator[tuple[int, Any]]:
    """The elements of one list, or else values one after another, each with its line from 1 on.

    Args:
        text: JSON; no name of an object is repeated.
        what: names its place in errors.

    Raises:
        CheckpointError: names the line that is not JSON.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_without_repeats)
    at, line, counted = _past_spaces(text, 0), 1, 0
    listed = text.startswith("[", at)
    at = _past_spaces(text, at + 1) if listed else at
    more = at < len(text) and not (listed and text[at] == "]")
    while more:
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            line += text.count("\n", at, getattr(error, "pos", at))
            why = getattr(error, "msg", error)
            raise CheckpointError(f"{what}: line {line}: expected JSON, {why}") from error
        yield line, value
        at = _past_spaces(text, end)
        more = text.startswith(",", at) if listed else at < len(text)
        at = _past_spaces(text, at + 1) if listed and more else at
    if listed and not (text.startswith("]", at) and _past_spaces(text, at + 1) == len(text)):
        line += text.count("\n", counted, at)
        raise CheckpointError(
            f"{what}: line {line}: expected the list to go on, or to end the text"
        )


def _past_spaces(text: str, at: int) -> int:
    while text[at : at + 1] in _SPACES and at < len(text):
        at += 1
    return at


def write_object(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object, keys in their order, indented by two."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _complaint(error: Exception) -> str:
    """What is wrong, and where; in a single line the character alone says that."""
    if not isinstance(error, json.JSONDecodeError) or "\n" in error.doc:
        return str(error)
    return f"{error.msg} at character {error.pos + 1}"


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        seen: set[str] = set()
        repeated = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]  # add returns None, which is false
        raise ValueError(f"the name {repeated!r} is there twice")
    return table
