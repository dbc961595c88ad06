"""The types that settings may have, and what messages call them.

A type is a bool, int, float, str, path, `Literal`, tuple, list, mapping by name, dataclass, or a
union of these.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import pathlib
import sys
import types
import typing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NONE", "describe", "field_types", "members", "required_fields", "show"]

NONE = "none"
"""How None is written in a file and on a command line."""

_CALLED = types.MappingProxyType(
    {
        bool: ("true or false", "booleans"),
        int: ("a whole number", "whole numbers"),
        float: ("a number", "numbers"),
        str: ("a string", "strings"),
        pathlib.Path: ("a path", "paths"),
        Any: ("a value", "values"),
    }
)
_LONGEST = 60


def field_types(cls: type) -> dict[str, Any]:
    """The type of each field that the constructor of a dataclass takes, by name."""
    names = {**_config_types(), **vars(sys.modules[cls.__module__])}
    hints = typing.get_type_hints(cls, localns=names)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def required_fields(cls: type) -> set[str]:
    """The fields of a dataclass that have no default."""
    absent = dataclasses.MISSING
    fields = [field for field in dataclasses.fields(cls) if field.init]
    return {f.name for f in fields if f.default is absent and f.default_factory is absent}


def members(hint: Any) -> tuple[Any, ...]:
    """The types that a union allows; a type that is not a union allows itself."""
    union = typing.get_origin(hint) in {typing.Union, types.UnionType}
    return typing.get_args(hint) if union else (hint,)


def describe(hint: Any) -> str:
    """A type in words: ``"a list of strings"``."""
    allowed = members(hint)
    if len(allowed) > 1:
        return " or ".join(dict.fromkeys(map(describe, allowed)))
    if hint is type(None):
        return repr(NONE)
    if hint in _CALLED:
        return _CALLED[hint][0]
    inner, origin = typing.get_args(hint), typing.get_origin(hint) or hint
    if origin is typing.Literal:
        return "one of " + ", ".join(map(repr, inner))
    if isinstance(origin, type) and issubclass(origin, tuple | list | collections.abc.Sequence):
        return _list(inner)
    return "a table"


def show(value: Any) -> str:
    """A value as a file would have it, cut where it is long."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, collections.abc.Mapping):
        return "a table"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _list(inner: tuple[Any, ...]) -> str:
    if inner and inner[-1] is not Ellipsis and len(inner) > 1:
        return "a list of " + ", ".join(map(describe, inner))
    return f"a list of {_CALLED[inner[0]][1]}" if inner and inner[0] in _CALLED else "a list"


@functools.cache
def _config_types() -> Mapping[str, Any]:
    """Types that configurations name, though they import them for type checkers alone."""
    from lmkernel import config
    from lmkernel.contract.capabilities import DType

    ours = {name: getattr(config, name) for name in config.__all__}
    others = {"Mapping": collections.abc.Mapping, "Sequence": collections.abc.Sequence}
    return {**ours, **others, "Path": pathlib.Path, "DType": DType}
