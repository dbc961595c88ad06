"""JSON that a stranger may have written: read with bounds and exact errors, and written.

Constraints: every JSON of a model, an adapter, a tokenizer or a run is read here. Refused, though
`json` takes it: a name that is there twice, a lone surrogate, which no file can hold, a number that
no float can hold, and more or deeper content than any published file has. NaN and Infinity are
taken, as the ecosystem takes them; whoever needs a finite number says so.
"""

from __future__ import annotations

import json
import math
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.checkpoints.memory_map import refuse_pointer
from lmkernel.errors import CheckpointError
from lmkernel.files import DEEPEST, MOST_DIGITS, is_deep, is_there, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = [
    "MOST_BYTES",
    "parse_object",
    "parse_values",
    "read_list",
    "read_object",
    "write_object",
]

MOST_BYTES = 80 * 2**20
"""The largest JSON file that is read; one wide character makes Python hold four times as much."""
_MOST_VALUES = 10_000_000  # a tokenizer of a million tokens has three quarters of them
_COSTS: Mapping[bytes, int] = MappingProxyType({b",": 1, b"[": 1, b":": 2, b"{": 4})
"""What the values that follow these count for, by the memory that they take."""
_NAMES: Mapping[type, str] = MappingProxyType({dict: "object", list: "list"})
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_DEEP = f"got values nested over {DEEPEST} deep"
_SPACES = frozenset(" \t\r\n")


def read_object(path: Path, *, required: bool, surrogates: bool = False) -> dict[str, Any]:
    """The JSON object in a file; empty when the file is absent and not required.

    Args:
        path: of the file.
        required: whether it must be there.
        surrogates: whether lone ones are taken: as such Python keeps bytes that are no UTF-8.

    Raises:
        CheckpointError: missing though required, unreadable, not UTF-8, not JSON, not an object.
    """
    if not required and not is_there(path):
        return {}
    data = read_file(path, MOST_BYTES)
    found: dict[str, Any] = _parse(data, str(path), dict, surrogates=surrogates)
    return found


def read_list(path: Path) -> list[Any]:
    """The JSON list in a file.

    Raises:
        CheckpointError: missing, unreadable, not UTF-8, not JSON, not a list.
    """
    found: list[Any] = _parse(read_file(path, MOST_BYTES), str(path), list)
    return found


def parse_object(data: bytes, what: str) -> dict[str, Any]:
    """Parse a JSON object; ``what`` names its place in errors.

    Raises:
        CheckpointError: not UTF-8, not JSON, not an object, or refused as the module says.
    """
    found: dict[str, Any] = _parse(data, what, dict)
    return found


def _parse(data: bytes, what: str, kind: type, *, surrogates: bool = False) -> Any:
    refuse_pointer(what, data)
    # each value but the first follows one of these, so this bounds the memory that parsing takes
    if sum(cost * data.count(mark) for mark, cost in _COSTS.items()) > _MOST_VALUES:
        raise CheckpointError(f"{what}: expected at most {_MOST_VALUES} values, got more")
    expected = f"{what}: expected a JSON {_NAMES[kind]}"
    try:
        value = json.loads(data.decode("utf-8"), **_HOOKS)
        if is_deep(value):
            raise RecursionError  # noqa: TRY301 - what Python itself raises of deeper ones
        if not surrogates and _SURROGATE.search(data):  # the halves of a pair become one character
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{what}: expected UTF-8, {error.reason}") from error
    except UnicodeEncodeError as error:
        code = ord(error.object[error.start])
        raise CheckpointError(f"{expected}, got the lone surrogate U+{code:04X} in it") from error
    except RecursionError as error:
        raise CheckpointError(f"{expected}, {_DEEP}") from error
    except ValueError as error:
        raise CheckpointError(f"{expected}, {_complaint(error)}") from error
    if not isinstance(value, kind):
        raise CheckpointError(f"{expected}, got {type(value).__name__}")
    return value


def parse_values(text: str, what: str) -> Iterator[tuple[int, Any]]:
    """The elements of one list, or else values one after another, each with its line from 1 on.

    Args:
        text: JSON; no name of an object is repeated.
        what: names its place in errors.

    Raises:
        CheckpointError: names the line that is not JSON.
    """
    decoder = json.JSONDecoder(**_HOOKS)
    at, line, counted = _past_spaces(text, 0), 1, 0
    listed = text.startswith("[", at)
    at = _past_spaces(text, at + 1) if listed else at
    more = at < len(text) and not (listed and text[at] == "]")
    while more:
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, end = decoder.raw_decode(text, at)
            if is_deep(value):
                raise RecursionError  # noqa: TRY301 - what Python itself raises of deeper ones
        except (ValueError, RecursionError) as error:
            line += text.count("\n", at, getattr(error, "pos", at))
            deep = isinstance(error, RecursionError)
            why = _DEEP if deep else getattr(error, "msg", error)
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


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"got a number of {len(digits)} digits")
    return int(digits)


def _fraction(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"got the number {digits:.40}, larger than any float")
    return value


_HOOKS: Mapping[str, Any] = MappingProxyType(
    {"object_pairs_hook": _without_repeats, "parse_int": _whole, "parse_float": _fraction}
)
