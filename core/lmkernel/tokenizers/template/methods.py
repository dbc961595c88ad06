"""The methods that a chat template may call, by the type of their value.

Most make at most as much as they are given and take time in proportion. Those that can make more
ask the budget first; those that change a value or reach into Python are not here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jinja2.runtime import LoopContext
from jinja2.utils import Cycler

from lmkernel.tokenizers.template.formatting import brace_format
from lmkernel.tokenizers.template.values import check_key

if TYPE_CHECKING:
    from lmkernel.tokenizers.template.budget import Budget

__all__ = ["join_texts", "methods_of", "pad_text", "properties_of", "replace_text"]

_Method = Callable[..., Any]  # of the budget, the value, and the call's own arguments


def methods_of(value: Any) -> Mapping[str, _Method]:
    """A value's methods by name."""
    return next((table for kind, table in _METHODS if isinstance(value, kind)), {})


def properties_of(value: Any) -> frozenset[str]:
    """The attributes of a loop or a cycler that are values and not methods."""
    return next((names for kind, names in _PROPERTIES if isinstance(value, kind)), frozenset())


def join_texts(budget: Budget, separator: str, texts: Any) -> str:
    """``separator.join(texts)``.

    Raises:
        TemplateError: the result would be too large.
    """
    parts, characters = [], 0
    for part in budget.iterate(texts):
        if not isinstance(part, str):
            raise TypeError(f"expected texts to join, got a {type(part).__name__}")
        parts.append(part)
        characters += len(separator) + len(part)
        budget.expect(characters=characters)
    return budget.charge(separator.join(parts))


def replace_text(budget: Budget, text: str, old: str, new: str, count: int = -1) -> str:
    """``text.replace(old, new, count)``.

    Raises:
        TemplateError: the result would be too large.
    """
    times = text.count(old) if count < 0 else min(count, text.count(old))
    budget.expect(characters=len(text) + times * max(0, len(new) - len(old)))
    return budget.charge(text.replace(old, new, count))


def pad_text(budget: Budget, name: str, text: str, width: int, *fill: str) -> str:
    """``text.center(width)`` and its kin.

    Raises:
        TemplateError: the result would be too large.
    """
    budget.expect(characters=width)
    result: str = getattr(text, name)(width, *fill)
    return budget.charge(result)


def _plain(name: str) -> _Method:
    """Python's own method, whose result is charged."""
    return lambda budget, value, *args, **kwargs: budget.charge(
        getattr(value, name)(*args, **kwargs)
    )


def _scan(method: _Method) -> _Method:
    """A method that CPython implements in quadratic time."""

    def apply(budget: Budget, text: str, *args: Any, **kwargs: Any) -> Any:
        budget.expect_scan(text, *args, *kwargs.values())
        return method(budget, text, *args, **kwargs)

    return apply


def _parts(name: str) -> _Method:
    """Python's own method whose result holds texts that are made with it."""
    return lambda budget, value, *args, **kwargs: budget.charge_texts(
        getattr(value, name)(*args, **kwargs)
    )


def _weighed(method: _Method) -> _Method:
    """A method of a text whose arguments are weighed first.

    A text that is safe escapes whatever it is given, which prints it; a text may be compared with
    the beginnings in a tuple.
    """

    def apply(budget: Budget, text: str, *args: Any, **kwargs: Any) -> Any:
        budget.weigh(*args, *kwargs.values())
        return method(budget, text, *args, **kwargs)

    return apply


def _pad(name: str) -> _Method:
    return lambda budget, text, *args: pad_text(budget, name, text, *args)


def _compare_all(name: str) -> _Method:
    """``list.index`` and ``list.count``, which compare the argument with the items."""

    def method(budget: Budget, value: Any, *args: Any) -> Any:
        budget.weigh(value, *args)
        return getattr(value, name)(*args)

    return method


def _get(budget: Budget, value: dict[Any, Any], key: Any, default: Any = None) -> Any:
    budget.step()
    check_key(key)
    return value.get(key, default)


def _format(budget: Budget, text: str, *args: Any, **kwargs: Any) -> str:
    return brace_format(budget, text, args, kwargs)


def _format_map(budget: Budget, text: str, values: Mapping[str, Any]) -> str:
    return brace_format(budget, text, (), values)


def _changed(budget: Budget, loop: LoopContext, *values: Any) -> bool:
    budget.weigh(*values)
    return loop.changed(*values)


_LINEAR = """
    capitalize casefold count endswith find index isalnum isalpha isascii isdecimal isdigit
    isidentifier islower isnumeric isprintable isspace istitle isupper lower lstrip
    removeprefix removesuffix startswith swapcase title upper
"""
_QUADRATIC = "rfind rindex strip lstrip rstrip"
_PARTS = "partition split splitlines"
_QUADRATIC_PARTS = "rpartition rsplit"
_LOOP = "index index0 revindex revindex0 first last length previtem nextitem depth depth0"
_PADDING = "center ljust rjust zfill"
_SEQUENCE = {"count": _compare_all("count"), "index": _compare_all("index")}

_METHODS: tuple[tuple[type, Mapping[str, _Method]], ...] = tuple(
    (kind, MappingProxyType(table))
    for kind, table in (
        (
            str,
            {name: _weighed(_plain(name)) for name in _LINEAR.split()}
            | {name: _weighed(_scan(_plain(name))) for name in _QUADRATIC.split()}
            | {name: _weighed(_parts(name)) for name in _PARTS.split()}
            | {name: _weighed(_scan(_parts(name))) for name in _QUADRATIC_PARTS.split()}
            | {name: _weighed(_pad(name)) for name in _PADDING.split()}
            | {"join": join_texts, "replace": _weighed(replace_text)}
            | {"format": _format, "format_map": _format_map},
        ),
        (list, _SEQUENCE | {"copy": _plain("copy")}),
        (tuple, _SEQUENCE),
        (dict, {"get": _get} | {n: _plain(n) for n in ("items", "keys", "values", "copy")}),
        (LoopContext, {"cycle": _plain("cycle"), "changed": _changed}),
        (Cycler, {"next": _plain("next"), "reset": _plain("reset")}),
    )
)
_PROPERTIES: tuple[tuple[type, frozenset[str]], ...] = (
    (LoopContext, frozenset(_LOOP.split())),
    (Cycler, frozenset({"current"})),
)
