"""A tree of plain values, such as a TOML file holds, turned into frozen dataclasses.

Constraints: nothing is guessed and nothing ignored. A value has the type that its field declares
(an integer is also a number); the string ``"none"`` is None where None is allowed, since TOML has
no word for it.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import difflib
import re
import typing
from typing import TYPE_CHECKING, Any, TypeVar, final

from lmkernel.errors import LmkernelError
from lmkernel.settings.types import NONE, allows_none, describe, field_types, show, without_none

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lmkernel.settings.locations import KeyPath, Locations

__all__ = ["Reader"]

_T = TypeVar("_T")
_COMPLAINT = re.compile(r"(\w+)\.(\w+): (.*)", re.DOTALL)
_WIDEST = 2**63  # TOML's integers are below it; seeds are below its double


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
            made = cls(**given) if base is None else dataclasses.replace(base, **given)
        except (LmkernelError, ValueError) as error:
            raise self._refusal(error, cls, path) from error
        except OverflowError as error:
            self._check_widths(given, hints, path)
            raise self._refusal(error, cls, path) from error
        # a field that has bounds has named them by now
        self._check_widths(given, hints, path)
        return made

    def _check_widths(
        self, given: Mapping[str, Any], hints: Mapping[str, Any], path: KeyPath
    ) -> None:
        """No whole number is of over 64 bits, which no file and no array holds."""
        for name, value in given.items():
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, int) and not -_WIDEST <= one < 2 * _WIDEST:
                    got = f"one of over 64 bits: {show(one)}"
                    raise self._wrong_type(hints[name], got, (*path, name))

    def value(self, hint: Any, value: Any, path: KeyPath, base: Any = None) -> Any:
        """A value of a declared type; what a table leaves out is as in ``base``."""
        if allows_none(hint) and (value is None or value == NONE):
            return None
        hint = without_none(hint)
        origin = typing.get_origin(hint) or hint
        if hint is Any:
            return value
        if dataclasses.is_dataclass(hint):
            return self.settings(typing.cast("type[Any]", hint), value, path, base)
        if origin is tuple:
            return self._sequence(hint, value, path)
        if origin in {dict, collections.abc.Mapping}:
            self._mapping(value, path)
            each = typing.get_args(hint)[1]
            return {name: self.value(each, one, (*path, name)) for name, one in value.items()}
        if not _is(origin, value):
            raise self._wrong_type(hint, show(value), path)
        return origin(value)

    def _check_names(
        self, cls: type, values: Mapping[str, Any], path: KeyPath, *, complete: bool
    ) -> None:
        """No name is unknown, and unless all are there already, none is missing."""
        hints = field_types(cls)
        for name in values:
            if name not in hints:
                raise self._unknown_key(name, hints, path)
        for field in dataclasses.fields(cls):
            is_given = complete or field.name in values or not field.init
            if not is_given and dataclasses.MISSING is field.default is field.default_factory:
                raise self._wrong_type(hints[field.name], "no such key", (*path, field.name))

    def _mapping(self, value: Any, path: KeyPath) -> None:
        if not isinstance(value, collections.abc.Mapping):
            raise self._places.error(path, f"expected a table, got {show(value)}")

    def _sequence(self, hint: Any, value: Any, path: KeyPath) -> Any:
        if not isinstance(value, list | tuple):
            raise self._wrong_type(hint, show(value), path)
        each = typing.get_args(hint)[0]
        return tuple(self.value(each, one, (*path, i)) for i, one in enumerate(value))

    def _wrong_type(self, hint: Any, got: str, path: KeyPath) -> LmkernelError:
        return self._places.error(path, f"expected {describe(hint)}, got {got}")

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
    """Whether a value is a bool, a whole number, a number or a string."""
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    if kind is float:
        return isinstance(value, float) or (isinstance(value, int) and abs(value) < _WIDEST)
    return isinstance(value, kind)


def _closest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f". Did you mean {close[0]!r}?" if close else ""
