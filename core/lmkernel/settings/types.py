"""The types that settings may have, and what messages call them.

A type is a bool, int, float, str, tuple of any length, mapping by name or dataclass, or one of
these ``| None``.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import sys
import types
import typing
from typing import Any

from lmkernel.errors import shown

__all__ = ["NONE", "allows_none", "describe", "field_types", "show", "without_none"]

NONE = "none"
"""How None is written in a file and on a command line."""

_CALLED = types.MappingProxyType(
    {
        bool: ("true or false", "booleans"),
        int: ("a whole number", "whole numbers"),
        float: ("a number", "numbers"),
        str: ("a string", "strings"),
        Any: ("a value", "values"),
    }
)


def field_types(cls: type) -> dict[str, Any]:
    """The type of each field that the constructor of a dataclass takes, by name."""
    names = {"Mapping": collections.abc.Mapping, **vars(sys.modules[cls.__module__])}
    hints = typing.get_type_hints(cls, localns=names)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def allows_none(hint: Any) -> bool:
    """Whether a type is one ``| None``."""
    return type(None) in typing.get_args(hint)


def without_none(hint: Any) -> Any:
    """The type itself of one ``| None``."""
    return typing.get_args(hint)[0] if allows_none(hint) else hint


def describe(hint: Any) -> str:
    """A type in words: ``"a list of strings"``."""
    hint = without_none(hint)
    if hint in _CALLED:
        return _CALLED[hint][0]
    if typing.get_origin(hint) is tuple:
        each = typing.get_args(hint)[0]
        return f"a list of {_CALLED[each][1]}" if each in _CALLED else "a list"
    return "a table"


def show(value: Any) -> str:
    """A value as a file would have it, cut where it is long."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, collections.abc.Mapping):
        return "a table"
    return shown(value)
