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
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from lmkernel.errors import PluginError, shown

__all__ = ["check_fields"]


def check_fields(record: object, kind: type, where: str) -> None:
    """Raise `PluginError` for the first field of another type than it is annotated with.

    Args:
        record: an instance of ``kind``.
        kind: the dataclass whose fields are checked; those of subclasses are their own.
        where: what the record is, for the message: ``"backend 'mine': "``.
    """
    for name, (hint, written) in _annotations(kind).items():
        value = getattr(record, name)
        if not _fits(value, hint):
            got, at = _at_fault(value, hint)
            raise PluginError(
                f"{where}{name}: expected {written}, got {shown(got)} ({type(got).__name__}){at}"
            )
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            check_fields(value, hint, f"{where}{name}.")


@functools.cache
def _annotations(kind: type) -> dict[str, tuple[Any, str]]:
    """Each field's annotation, as a type and as a reader is told of it."""
    hints = get_type_hints(kind)
    fields = dataclasses.fields(kind)
    return {f.name: (hints[f.name], _spelling(hints[f.name], str(f.type))) for f in fields}


def _spelling(hint: Any, annotation: str) -> str:
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(repr, get_args(hint)))}"
    return annotation


def _at_fault(value: object, hint: Any) -> tuple[object, str]:
    """What is wrong, and under which key, where it is one value of a table."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (dict, Mapping) and _is_table(value, kind):
        for key, item in value.items():  # type: ignore[attr-defined]  # as just seen
            if _fits(key, inner[0]) and not _fits(item, inner[1]):
                return item, f" at {shown(key)}"
    return value, ""


def _fits(value: object, hint: Any) -> bool:
    inner, kind = get_args(hint), get_origin(hint)
    if kind is Literal:
        return value in inner
    if kind in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if kind is tuple:
        return type(value) is tuple and all(_fits(item, inner[0]) for item in value)
    if kind in (dict, Mapping):
        return _is_table(value, kind) and all(
            _fits(key, inner[0]) and _fits(item, inner[1])
            for key, item in value.items()  # type: ignore[attr-defined]  # as just seen
        )
    return callable(value) if kind is Callable else _is_of(value, hint)


def _is_table(value: object, kind: Any) -> bool:
    return issubclass(type(value), Mapping) if kind is Mapping else type(value) is dict


def _is_of(value: object, hint: Any) -> bool:
    """Whether it is of a class, or a number, or may be anything."""
    kind = type(value)
    if hint in (str, int, bool):  # a subclass may do anything wherever it is used later
        return kind is hint
    if hint is float:
        return issubclass(kind, Real) and not issubclass(kind, bool)
    return hint is Any or issubclass(kind, hint) or _stands_for(value, hint)


def _stands_for(value: object, hint: type) -> bool:
    """Whether it has each method of an abstract class, as what wraps another does."""
    names: frozenset[str] = getattr(hint, "__abstractmethods__", frozenset())
    has_all = all(callable(getattr(value, name, None)) for name in names)
    return bool(names) and has_all and not issubclass(type(value), type)
