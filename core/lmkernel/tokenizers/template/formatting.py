"""``'%s' % x`` and ``'{}'.format(x)`` in a chat template, with padding of three digits at most."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Any, final

from jinja2 import Undefined

from lmkernel.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel.tokenizers.template.budget import Budget

__all__ = ["brace_format", "percent_format"]

_PERCENT = re.compile(r"%(?:\(([^()]*)\))?[#0\- +]*(\d{0,3})(?:\.(\d{0,3}))?[hlL]?([a-zA-Z%])")
_FIELD = re.compile(r"\w*")
_SPEC = re.compile(r"(?:.?[<>=^])?[-+ ]?#?0?\d{0,3}[,_]?(?:\.\d{1,3})?[a-zA-Z%]?")
_PADDING = 1000  # characters that a field takes at most beside the text of its value


def percent_format(budget: Budget, text: str, values: Any) -> str:
    """``text % values``.

    Raises:
        TemplateError: a field is malformed, pads by over 999, or the result would be too large.
    """
    whole = values if isinstance(values, tuple | dict) else (values,)
    characters = len(text)
    fields = iter(whole if isinstance(whole, tuple) else ())
    for field in _PERCENT.finditer(text):
        value = whole.get(field[1], "") if isinstance(whole, dict) else next(fields, "")
        padding = _PADDING if field[2] or field[3] or field[4] in "fFeEgG" else 0
        characters += padding + len(budget.text(value))
        budget.expect(characters=characters)
        budget.step()
    if "%" in _PERCENT.sub("", text):
        raise TemplateError("the chat template formats with a field that '%' does not have here")
    result: str = text % values
    return budget.charge(result)


def brace_format(budget: Budget, text: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """``text.format(*args, **kwargs)``; a field names an argument, not a part of one.

    Raises:
        TemplateError: a field is malformed, pads by over 999, or the result would be too large.
    """
    return budget.charge(_Formatter(budget, len(text)).vformat(text, args, kwargs))


@final
class _Formatter(string.Formatter):
    """Python's formatter over plain values."""

    def __init__(self, budget: Budget, characters: int) -> None:
        self._budget = budget
        self._characters = characters

    def get_field(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if not _FIELD.fullmatch(name):
            raise TemplateError(f"the chat template formats with the field {name[:40]!r}")
        key = int(name) if name.isdecimal() else name
        return self.get_value(key, args, kwargs), key

    def convert_field(self, value: Any, conversion: Any) -> Any:
        if conversion is None:
            return value
        self._budget.text(value)  # refuses what would be too long
        return self._budget.charge(super().convert_field(value, conversion))

    def format_field(self, value: Any, spec: str) -> str:
        if not _SPEC.fullmatch(spec):
            raise TemplateError(f"the chat template formats with {spec[:40]!r}")
        plain = value is None or isinstance(value, str | int | float)
        text = format(value, spec) if plain else self._budget.text(value)
        if not plain and spec and not isinstance(value, Undefined):
            raise TypeError(f"unsupported format string passed to {type(value).__name__}")
        self._characters += len(text)
        self._budget.expect(characters=self._characters)
        self._budget.step()
        return text
