"""Settings in a TOML file: read into frozen dataclasses, set by flags, and written back.

Constraints: every complaint names the file, the line, the key, what was expected and what came.
What `to_toml` writes, `read_settings` reads as an equal instance.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from lmkernel.errors import ConfigError, shown
from lmkernel.files import DEEPEST, is_deep, read_file
from lmkernel.paths import user_path
from lmkernel.settings.locations import Locations, dotted_key, key_lines
from lmkernel.settings.reader import Reader
from lmkernel.settings.text import toml_text
from lmkernel.settings.types import NONE, allows_none, field_types, show

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    from lmkernel.settings.locations import KeyPath

__all__ = [
    "flat",
    "key_path",
    "load_settings",
    "merge",
    "parse_overrides",
    "read_settings",
    "settings_from",
    "to_toml",
]

_T = TypeVar("_T")
_AT = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)
_MOST_BYTES, _MOST_DIGITS = 2**20, 1000
_BOM = b"\xef\xbb\xbf"
_NESTED = f"got values nested over {DEEPEST} deep"
_DOTTED = re.compile(rf"""(?<![\w'"-])(?:[\w'"-]+[ \t]*\.[ \t]*){{{DEEPEST}}}""")
"""A key of so many parts, of which tomllib makes all beginnings."""


def read_settings(
    path: str | PathLike[str], cls: type[_T], overrides: Mapping[str, Any] | None = None
) -> _T:
    """Read a TOML file into a dataclass and those nested in it.

    Args:
        path: of the file.
        cls: a dataclass whose fields are bool, int, float, str, tuples of any length, mappings by
            name and dataclasses, or one of these ``| None``.
        overrides: values in place of the file's, by dotted key; see `parse_overrides`.

    Raises:
        ConfigError: the file cannot be read, is malformed, or does not describe a ``cls``.
    """
    values, places = load_settings(path)
    flags = frozenset(map(key_path, overrides or {}))
    merged = merge(values, overrides or {})
    return settings_from(merged, cls, dataclasses.replace(places, flags=flags))


def load_settings(path: str | PathLike[str]) -> tuple[dict[str, Any], Locations]:
    """The values of a TOML file, and where in it they stand.

    Raises:
        ConfigError: the file cannot be read, is not UTF-8, or is malformed.
    """
    data = read_file(user_path(path, ConfigError), _MOST_BYTES, ConfigError).removeprefix(_BOM)
    try:
        text = data.decode()
        return _parse(text), Locations(str(path), key_lines(text))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: expected UTF-8, {error.reason}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: expected TOML, {_NESTED}") from error
    except ValueError as error:  # of tomllib, or of Python for a number of thousands of digits
        raise ConfigError(f"{path}, {_toml_complaint(str(error), text)}") from error


def settings_from(values: Mapping[str, Any], cls: type[_T], where: Locations | str) -> _T:
    """A dataclass, and those nested in it, from a tree of plain values.

    Args:
        values: as `load_settings` or `merge` gives them; None is the same as ``"none"``.
        cls: see `read_settings`.
        where: where they came from: what `load_settings` gave, or a name such as ``"the flags"``.

    Raises:
        ConfigError: an unknown key, a wrong type, a missing key, or a value that a dataclass
            refuses.
    """
    return Reader(Locations(where) if isinstance(where, str) else where).settings(cls, values)


def merge(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Values with others in their place, by dotted key such as ``"optimizer.rate"``; both stay.

    Raises:
        ConfigError: a malformed key, or one that leads through a value that is not a table.
    """
    merged: dict[str, Any] = _copy(values)
    for key, value in overrides.items():
        *tables, name = key_path(key)
        inner = merged
        for table in tables:
            inner = inner.setdefault(table, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{key}: expected {table} to be a table, got {show(inner)}")
        inner[name] = value
    return merged


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Flags such as ``optimizer.rate=3e-4`` as values by dotted key; the last of a key holds.

    The value is read as TOML, or as a string if it is not valid TOML: ``data=texts/a.txt``.

    Raises:
        ConfigError: no ``=``, or a malformed key.
    """
    overrides = {}
    for text in texts:
        if not isinstance(text, str) or "=" not in text:  # type: ignore[redundant-expr]  # whatever a program passes
            raise ConfigError(f"expected a setting of the form key=value, got {shown(text)}")
        key, _, value = text.partition("=")
        overrides[dotted_key(key_path(key.strip()))] = _toml_value(value.strip())
    return overrides


def to_toml(settings: object) -> str:
    """The TOML text of a dataclass: every value, defaults too, so that it says exactly what ran.

    A None that is the field's default is left out; any other is ``"none"``.

    Raises:
        ConfigError: a value that TOML cannot hold.
    """
    return toml_text(_plain(settings))


def flat(settings: object) -> dict[str, Any]:
    """All values of a dataclass by dotted key, lists as text; for trackers."""
    return dict(_leaves(_plain(settings), ()))


def _parse(text: str) -> dict[str, Any]:
    if _DOTTED.search(text):
        raise RecursionError
    values = tomllib.loads(text)
    if is_deep(values):
        raise RecursionError
    _check_numbers(values)
    return values


def _check_numbers(value: Any) -> None:
    """One of thousands of digits, in hexadecimal, is read and cannot be written."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_numbers(inner)
    elif isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
        raise ValueError(f"got a number of more than {_MOST_DIGITS} digits")


def key_path(key: str) -> tuple[str, ...]:
    """The parts of a dotted key, by TOML's own rules for quotes.

    Raises:
        ConfigError: a malformed key, or what is no text.
    """
    path = []
    if not isinstance(key, str):  # a program's
        raise ConfigError(f"expected a dotted key such as optimizer.rate, got {shown(key)}")
    try:
        inner: Any = _parse(f"{key}=0")
        while isinstance(inner, dict):
            ((part, inner),) = inner.items()
            path.append(part)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"expected a dotted key such as optimizer.rate, got {shown(key)}"
        ) from error
    return tuple(path)


def _toml_value(text: str) -> Any:
    try:
        (value,) = _parse(f"key = {text}").values()
    except (ValueError, RecursionError):
        return text
    return value


def _toml_complaint(complaint: str, text: str) -> str:
    """What `tomllib` says, with the line in front."""
    at = _AT.fullmatch(complaint)
    if at is None:
        return f"expected TOML: {complaint}"
    return f"line {at[2] or text.rstrip().count(chr(10)) + 1}: expected TOML: {at[1]}"


def _copy(value: Any) -> Any:
    return {k: _copy(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dict(_fields(value))
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _fields(settings: Any) -> Iterable[tuple[str, Any]]:
    hints = field_types(type(settings))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name not in hints or (value is None and field.default is None):
            continue
        if value == NONE and allows_none(hints[field.name]):
            raise ConfigError(f"{field.name}: {NONE!r} would be read as None")
        yield field.name, NONE if value is None else _plain(value)


def _leaves(value: Any, path: KeyPath) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _leaves(one, (*path, name))
    elif isinstance(value, list):
        yield dotted_key(path), ", ".join(map(str, value))
    else:
        yield dotted_key(path), value
