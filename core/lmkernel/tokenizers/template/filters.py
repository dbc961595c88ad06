"""The filters of a chat template: those that published templates use, each bounded.

``random`` and ``lipsum`` are not among them: what a template writes is a function of its input.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jinja2 import Undefined, filters
from jinja2.exceptions import FilterArgumentError
from markupsafe import Markup, escape

from lmkernel.errors import TemplateError
from lmkernel.tokenizers.template.item_filters import (
    add_up,
    attribute_at,
    extreme,
    first,
    items_of,
    join,
    last,
    reverse_items,
    sort,
    sort_pairs,
    unique,
)
from lmkernel.tokenizers.template.predicates import apply_test
from lmkernel.tokenizers.template.text_filters import (
    center,
    format_text,
    indent,
    on_text,
    replace,
    title,
    to_json,
    trim,
)
from lmkernel.tokenizers.template.values import Lazy

if TYPE_CHECKING:
    from lmkernel.tokenizers.template.budget import Budget

__all__ = ["apply_filter"]

_Filter = Callable[..., Any]  # of the budget, the value, and the filter's own arguments
_MAX_PRECISION = 100


def apply_filter(
    budget: Budget, name: str, value: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """``value|name(*args, **kwargs)``.

    Raises:
        TemplateError: there is no such filter, or its result would be too large.
    """
    if name not in _FILTERS:
        raise TemplateError(
            f"the chat template uses the filter {name[:40]!r}, which is not offered"
        )
    budget.step()
    result = _FILTERS[name](budget, value, *args, **kwargs)
    if isinstance(result, Generator):
        return Lazy(result, value)
    return result if result is value else budget.charge(result)


def _default(_: Budget, value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    absent = isinstance(value, Undefined) or (boolean and not value)
    return default_value if absent else value


def _map(
    budget: Budget,
    value: Any,
    name: str | None = None,
    *args: Any,
    attribute: str | int | None = None,
    default: Any = None,
    **kwargs: Any,
) -> Iterator[Any]:
    for item in budget.iterate(value or ()):  # Jinja takes none for no items here
        budget.step()
        if name is not None:
            yield apply_filter(budget, name, item, args, kwargs)
        elif attribute is None:
            raise FilterArgumentError("map requires a filter argument")
        else:
            found = attribute_at(budget, item, attribute)
            yield default if default is not None and isinstance(found, Undefined) else found


def _select(*, keep: bool, by_attribute: bool = False) -> _Filter:
    def apply(budget: Budget, value: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        attribute, words = (args[0], args[1:]) if by_attribute and args else (None, args)
        for item in budget.iterate(value or ()):  # Jinja takes none for no items here
            budget.step()
            if by_attribute and not args:
                raise FilterArgumentError("Missing parameter for attribute name")
            found = attribute_at(budget, item, attribute)
            if words:
                found = apply_test(budget, words[0], found, words[1:], kwargs)
            if bool(found) is keep:
                yield item

    return apply


def _round(_: Budget, value: Any, precision: int = 0, method: str = "common") -> Any:
    if isinstance(value, str | list | tuple):  # Jinja would first make it longer, by a power of ten
        raise TypeError(f"expected a number to round, got a {type(value).__name__}")
    if abs(precision) > _MAX_PRECISION:
        raise TemplateError(f"the chat template rounds to over {_MAX_PRECISION} digits")
    return filters.do_round(value, precision, method)  # type: ignore[arg-type]  # checked there


_FILTERS: Mapping[str, _Filter] = MappingProxyType(
    {
        "abs": lambda _, value: abs(value),
        "capitalize": on_text(filters.do_capitalize),
        "center": center,
        "count": lambda _, value: len(value),
        "d": _default,
        "default": _default,
        "dictsort": sort_pairs,
        "e": on_text(escape),
        "escape": on_text(escape),
        "first": first,
        "float": lambda _, value, default=0.0: filters.do_float(value, default),
        "format": format_text,
        "indent": indent,
        "int": lambda _, value, default=0, base=10: filters.do_int(value, default, base),
        "items": items_of,
        "join": join,
        "last": last,
        "length": lambda _, value: len(value),
        "list": lambda budget, value: list(budget.iterate(value)),
        "lower": on_text(filters.do_lower),
        "map": _map,
        "max": extreme(max),
        "min": extreme(min),
        "reject": _select(keep=False),
        "rejectattr": _select(keep=False, by_attribute=True),
        "replace": replace,
        "reverse": reverse_items,
        "round": _round,
        "safe": lambda budget, value: Markup(budget.text(value)),  # noqa: S704 - a chat is no HTML
        "select": _select(keep=True),
        "selectattr": _select(keep=True, by_attribute=True),
        "sort": sort,
        "string": lambda budget, value: budget.text(value),
        "sum": add_up,
        "title": title,
        "tojson": to_json,
        "trim": trim,
        "unique": unique,
        "upper": on_text(filters.do_upper),
    }
)
