"""Checks the fields of a dataclass that a plugin hands over against its own annotations.

Of annotations it knows what these dataclasses use: classes, functions, numbers, `Literal`, unions,
``tuple[X, ...]``, ``dict[K, V]``, ``Mapping[K, V]``, and dataclasses, whose fields are checked too.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from numbers import Real
from types import UnionType
from typing import Any, Literal, Union, final, get_args, get_origin, get_type_hints

from lmkernel.errors import PluginError, shown

__all__ = ["check_fields"]


def check_fields(record: object, kind: type, where: str) -> None:
    """Raise `PluginError` for the first field of another type than it is annotated with.

    Args:
        record: an instance of ``kind``.
        kind: the dataclass whose fields are checked; those of subclasses are their own.
        where: what the record is, for the message: ``"backend 'mine': "``.
    """
    for name, field in _fields(kind).items():
        value = getattr(record, name)
        if not field.fits(value):
            got, at = _at_fault(value, field.hint)
            raise PluginError(
                f"{where}{name}: expected {field.written}, "
                f"got {shown(got)} ({type(got).__name__}){at}"
            )
        if field.is_record:
            check_fields(value, field.hint, f"{where}{name}.")


@final
@dataclasses.dataclass(frozen=True)
class _Field:
    """An annotation: as a type, as a reader is told of it, and as a test."""

    hint: Any
    written: str
    fits: Callable[[Any], bool]
    is_record: bool


@functools.cache
def _fields(kind: type) -> dict[str, _Field]:
    """What each field is annotated with."""
    hints = get_type_hints(kind)
    return {
        f.name: _Field(
            hint := hints[f.name],
            _spelling(hint, str(f.type)),
            _test_of(hint),
            isinstance(hint, type) and dataclasses.is_dataclass(hint),
        )
        for f in dataclasses.fields(kind)
    }


def _spelling(hint: Any, annotation: str) -> str:
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(repr, get_args(hint)))}"
    return annotation


def _at_fault(value: Any, hint: Any) -> tuple[object, str]:
    """What is wrong, and under which key, where it is one value of a table."""
    kind = get_origin(hint)
    if kind in (dict, Mapping) and _is_table(value, kind):
        is_key, is_item = map(_test_of, get_args(hint))
        for key, item in value.items():
            if is_key(key) and not is_item(item):
                return item, f" at {shown(key)}"
    return value, ""


@functools.cache
def _test_of(hint: Any) -> Callable[[Any], bool]:
    """What tells whether a value is of a type."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind is Literal:
        return lambda value: value in inner
    if kind is Callable:
        return callable
    if kind in (Union, UnionType):
        tests = [_test_of(one) for one in inner]
        return lambda value: any(test(value) for test in tests)
    if kind is tuple:
        is_item = _test_of(inner[0])
        return lambda value: type(value) is tuple and all(map(is_item, value))
    if kind in (dict, Mapping):
        is_key, is_item = map(_test_of, inner)
        return lambda value: (
            _is_table(value, kind) and all(map(is_key, value)) and all(map(is_item, value.values()))
        )
    return _test_of_class(hint)


def _test_of_class(hint: Any) -> Callable[[Any], bool]:
    if hint is Any:
        return lambda _: True
    if hint in (str, int, bool):  # a subclass may do anything wherever it is used later
        return lambda value: type(value) is hint
    if hint is float:
        return lambda value: type(value) is float or _is_real(type(value))
    return lambda value: issubclass(type(value), hint) or _stands_for(value, hint)


def _is_table(value: object, kind: Any) -> bool:
    return issubclass(type(value), Mapping) if kind is Mapping else type(value) is dict


def _is_real(kind: type) -> bool:
    return issubclass(kind, Real) and not issubclass(kind, bool)


def _stands_for(value: object, hint: type) -> bool:
    """Whether it has each method of an abstract class, as what wraps another does."""
    names: frozenset[str] = getattr(hint, "__abstractmethods__", frozenset())
    has_all = all(callable(getattr(value, name, None)) for name in names)
    return bool(names) and has_all and not issubclass(type(value), type)
