"""A tree of plain values, such as a TOML file holds, turned into frozen dataclasses.

Constraints: nothing is guessed and nothing ignored. A value has the type that its field declares
(an integer is also a number); the field ``kind`` says which dataclass of a union is meant; the
string ``"none"`` is None where None is allowed, since TOML has no word for it.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import difflib
import pathlib
import re
import typing
from typing import TYPE_CHECKING, Any, TypeVar, final

from lmkernel.errors import LmkernelError
from lmkernel.settings.types import (
    NONE,
    describe,
    field_types,
    members,
    required_fields,
    show,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lmkernel.settings.locations import KeyPath, Locations

__all__ = ["Reader"]

_T = TypeVar("_T")
_COMPLAINT = re.compile(r"(\w+)\.(\w+): (.*)", re.DOTALL)
_WIDEST = 2**63  # TOML's integers are below it


@final
class Reader:
    """Reads values that came from the given places.

    Every method takes what came and the path that it came under.

    Raises:
        ConfigError: an unknown key, a wrong type, a missing key, or a value that the dataclass
            refuses.
    """

    def __init__(self, places: Locations) -> None:
        self._places = places

    def settings(self, cls: type[_T], values: Any, path: KeyPath = (), base: Any = None) -> _T:
        """An instance of a dataclass from a table.

        What the table does not say is as in ``base``, if that is an instance of ``cls``: the
        default of the field that the table is for.
        """
        self._mapping(values, path)
        base = base if isinstance(base, cls) else None
        self._check_names(cls, values, path, complete=base is not None)
        hints = field_types(cls)
        given = {
            name: self.value(hints[name], value, (*path, name), _default(cls, base, name))
            for name, value in values.items()
        }
        try:
            return cls(**given) if base is None else dataclasses.replace(base, **given)
        except (LmkernelError, ValueError) as error:
            raise self._refusal(error, cls, path) from error

    def value(self, hint: Any, value: Any, path: KeyPath, base: Any = None) -> Any:
        """A value of a declared type; what a table leaves out is as in ``base``."""
        allowed = [one for one in members(hint) if one is not type(None)]
        if len(allowed) < len(members(hint)) and (value is None or value == NONE):
            return None
        if len(allowed) == 1:
            return self._single(allowed[0], value, path, base)
        tables = [one for one in allowed if dataclasses.is_dataclass(one)]
        if tables and isinstance(value, collections.abc.Mapping):
            return self.settings(self._class_of(tables, value, path), value, path)
        for one in allowed:
            read = self._attempt(one, value, path)
            if read is not None:
                return read
        raise self._wrong_type(hint, show(value), path)

    def _check_names(
        self, cls: type, values: Mapping[str, Any], path: KeyPath, *, complete: bool
    ) -> None:
        """No name is unknown, and unless all are there already, none is missing."""
        hints = field_types(cls)
        for name in values:
            if name not in hints:
                raise self._unknown_key(name, hints, path)
        for name in hints:
            if not complete and name in required_fields(cls) - values.keys():
                raise self._wrong_type(hints[name], "no such key", (*path, name))

    def _attempt(self, hint: Any, value: Any, path: KeyPath) -> Any:
        try:
            return self._single(hint, value, path)
        except LmkernelError:
            return None

    def _single(self, hint: Any, value: Any, path: KeyPath, base: Any = None) -> Any:
        """A value of a type that is not a union."""
        origin = typing.get_origin(hint) or hint
        if hint is Any:
            return value
        if dataclasses.is_dataclass(hint):
            return self.settings(typing.cast("type[Any]", hint), value, path, base)
        if origin is typing.Literal:
            return self._choice(hint, value, path)
        if origin in {tuple, list, collections.abc.Sequence}:
            return self._sequence(hint, value, path)
        if origin in {dict, collections.abc.Mapping}:
            self._mapping(value, path)
            each = (typing.get_args(hint) or (str, Any))[1]
            return {name: self.value(each, one, (*path, name)) for name, one in value.items()}
        if not _is(origin, value):
            raise self._wrong_type(hint, show(value), path)
        return origin(value)

    def _mapping(self, value: Any, path: KeyPath) -> None:
        if not isinstance(value, collections.abc.Mapping):
            raise self._places.error(path, f"expected a table, got {show(value)}")

    def _choice(self, hint: Any, value: Any, path: KeyPath) -> Any:
        choices = typing.get_args(hint)
        for one in choices:
            if type(one) is type(value) and one == value:
                return one
        raise self._wrong_type(hint, show(value), path, _closest(value, choices))

    def _sequence(self, hint: Any, value: Any, path: KeyPath) -> Any:
        if not isinstance(value, list | tuple):
            raise self._wrong_type(hint, show(value), path)
        origin, inner = typing.get_origin(hint) or hint, typing.get_args(hint) or (Any,)
        fixed = origin is tuple and typing.get_args(hint) and inner[-1] is not Ellipsis
        if fixed and len(inner) != len(value):
            raise self._wrong_type(hint, show(value), path)
        types = inner if fixed else [inner[0]] * len(value)
        pairs = enumerate(zip(types, value, strict=True))
        read = [self.value(each, one, (*path, i)) for i, (each, one) in pairs]
        return read if origin is list else tuple(read)

    def _class_of(self, tables: list[Any], value: Mapping[str, Any], path: KeyPath) -> Any:
        """The class whose default ``kind`` this is, or else the only one that has these keys."""
        by_kind = {one.kind: one for one in tables if hasattr(one, "kind")}
        kind = value.get("kind")
        if kind in by_kind:
            return by_kind[kind]
        names = value.keys()
        fitting = [
            one for one in tables if required_fields(one) <= names <= field_types(one).keys()
        ]
        if len(fitting) == 1:
            return fitting[0]
        at = (*path, "kind") if "kind" in value else path
        choices = ", ".join(map(repr, by_kind))
        complaint = f"expected a table whose kind is one of {choices}, got kind {show(kind)}"
        raise self._places.error(at, complaint + _closest(kind, by_kind))

    def _wrong_type(self, hint: Any, got: str, path: KeyPath, more: str = "") -> LmkernelError:
        return self._places.error(path, f"expected {describe(hint)}, got {got}{more}")

    def _unknown_key(self, name: str, known: Iterable[str], path: KeyPath) -> LmkernelError:
        complaint = f"unknown key{_closest(name, known)}. Available: {', '.join(known)}"
        return self._places.error((*path, name), complaint.replace("?.", "?"))

    def _refusal(self, error: Exception, cls: type, path: KeyPath) -> LmkernelError:
        """What a dataclass says of one of its own fields, with the place of the field."""
        complaint = _COMPLAINT.fullmatch(str(error))
        if complaint and complaint[1] == cls.__name__ and complaint[2] in field_types(cls):
            return self._places.error((*path, complaint[2]), complaint[3])
        return self._places.error(path, str(error))


def _default(cls: type, base: Any, name: str) -> Any:
    """The value of a field that is left out; None if it may not be left out."""
    if base is not None:
        return getattr(base, name)
    field = next(field for field in dataclasses.fields(cls) if field.name == name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _is(kind: Any, value: Any) -> bool:
    """Whether a value is a bool, a whole number, a number, a string or a path."""
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    if kind is float:
        return isinstance(value, float) or (isinstance(value, int) and abs(value) < _WIDEST)
    if kind is pathlib.Path:
        return isinstance(value, str | pathlib.Path)
    return isinstance(value, kind)


def _closest(name: Any, known: Iterable[Any]) -> str:
    words = [one for one in known if isinstance(one, str)]
    close = difflib.get_close_matches(name, words, n=1) if isinstance(name, str) else []
    return f". Did you mean {close[0]!r}?" if close else ""
