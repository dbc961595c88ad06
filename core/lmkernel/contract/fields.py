"""Checks the fields of a dataclass against its own annotations.

Of annotations it knows what specifications use: classes, `Literal`, ``tuple[X, ...]``,
``dict[K, V]``, and dataclasses, whose fields are checked as well.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Literal, get_args, get_origin, get_type_hints

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
            raise PluginError(
                f"{where}{name}: expected {written}, got {shown(value)} ({type(value).__name__})"
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


def _fits(value: object, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        return type(value) is tuple and all(_fits(item, inner[0]) for item in value)
    if origin is dict:
        return type(value) is dict and all(
            _fits(key, inner[0]) and _fits(item, inner[1]) for key, item in value.items()
        )
    # a subclass of a plain type may do anything wherever it is used later
    return type(value) is hint if hint in (str, int, bool) else issubclass(type(value), hint)
