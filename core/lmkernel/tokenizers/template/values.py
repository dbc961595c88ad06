"""The values that a chat template sees: JSON's, and few of its own.

A template never sees an object of the caller's: what is given is copied into plain lists,
dictionaries and scalars, so there is nothing that a stranger's template could call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, final

__all__ = ["VIEWS", "Function", "Lazy", "Namespace", "check_key", "plain_data"]

_MAX_LAZY = 50
_SCALARS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (Integral, int),
    (Real, float),
)
VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))


@final
@dataclass(frozen=True)
class Function:
    """Something that a template may call: a global, or a method of a value."""

    name: str
    call: Callable[..., Any]


@final
class Namespace:
    """``namespace(…)``: the only value that a template may change."""

    def __init__(self, attributes: Mapping[Any, Any]) -> None:
        self.attributes: dict[Any, Any] = {}
        for name, value in attributes.items():
            self.set(name, value)

    def set(self, name: Any, value: Any) -> None:
        """Set an attribute.

        Raises:
            TypeError: its name begins with an underscore, as Python's own do.
        """
        if isinstance(name, str) and name.startswith("_"):
            raise TypeError(f"a namespace holds no name with an underscore first: {name!r}")
        self.attributes[name] = value

    def __repr__(self) -> str:
        return f"<Namespace {self.attributes!r}>"


@final
class Lazy:
    """What a filter such as ``map`` gives: true, without a length, and read once, as in Jinja.

    Raises:
        TypeError: too many of them read from one another.
    """

    def __init__(self, items: Iterator[Any], source: Any) -> None:
        self._items = items
        self.depth: int = 1 + (source.depth if isinstance(source, Lazy) else 0)
        if self.depth > _MAX_LAZY:
            raise TypeError(f"over {_MAX_LAZY} filters read from one another")

    def __iter__(self) -> Lazy:
        return self

    def __next__(self) -> Any:
        return next(self._items)


def plain_data(value: Any) -> Any:
    """A copy of JSON's types alone; anything else becomes its type's name in angle brackets."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Mapping):
        return {plain_data(key): plain_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else tuple)(map(plain_data, value))
    for kind, convert in _SCALARS:
        if isinstance(value, kind):
            return convert(value)
    return f"<{type(value).__name__}>"


def check_key(key: Any) -> None:
    """Refuse a key that is no scalar: the hash of nested tuples is deeper than C's stack.

    Raises:
        TypeError: it is none.
    """
    if key is not None and not isinstance(key, str | int | float):
        raise TypeError(f"expected a text or a number as a key, got a {type(key).__name__}")
