"""Plain values written as TOML 1.0 (toml.io/en/v1.0.0), which reads back as the same values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, time
from types import MappingProxyType
from typing import Any

from lmkernel.errors import ConfigError
from lmkernel.settings.locations import dotted_key, quote

__all__ = ["toml_text"]

_SCALARS: Mapping[type, Callable[[Any], str]] = MappingProxyType(
    {
        bool: lambda value: str(value).lower(),
        int: int.__repr__,
        float: float.__repr__,
        str: quote,
        date: lambda value: value.isoformat(),  # a datetime is a date too
        time: time.isoformat,
    }
)  # a bool is an int too, so it comes first


def toml_text(values: Mapping[str, Any]) -> str:
    """A document: of each table first the values, then the tables inside it.

    Raises:
        ConfigError: a value that TOML cannot hold.
    """
    text = "\n".join(_table(values, ())).strip("\n") + "\n"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        odd = text[error.start : error.end]
        raise ConfigError(f"{odd!r} cannot be written as UTF-8") from error
    return text


def _table(values: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = ["", f"[{dotted_key(path)}]"] if path else []
    inner = {name: value for name, value in values.items() if isinstance(value, Mapping)}
    for name, value in values.items():
        if not isinstance(name, str):
            raise ConfigError(f"{dotted_key(path)}: expected keys that are strings, got {name!r}")
        if name not in inner:
            lines.append(f"{dotted_key((name,))} = {_value(value, (*path, name))}")
    for name, value in inner.items():
        lines += _table(value, (*path, name))
    return lines


def _value(value: Any, path: tuple[str, ...]) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(one, path) for one in value)}]"
    if isinstance(value, Mapping):
        pairs = (f"{dotted_key((name,))} = {_value(one, path)}" for name, one in value.items())
        return "{" + ", ".join(pairs) + "}"
    for kind, write in _SCALARS.items():
        if isinstance(value, kind):
            return write(value)
    raise ConfigError(f"{dotted_key(path)}: {value!r} cannot be written as TOML")
