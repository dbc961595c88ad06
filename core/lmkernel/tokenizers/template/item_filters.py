"""The filters of a chat template that order, choose or join the items of a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import Undefined
from jinja2.exceptions import FilterArgumentError

from lmkernel.tokenizers.template.members import item_of
from lmkernel.tokenizers.template.methods import join_texts
from lmkernel.tokenizers.template.operators import apply_operator
from lmkernel.tokenizers.template.values import check_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmkernel.tokenizers.template.budget import Budget

__all__ = [
    "add_up",
    "attribute_at",
    "extreme",
    "first",
    "items_of",
    "join",
    "last",
    "reverse_items",
    "sort",
    "sort_pairs",
    "unique",
]


def first(budget: Budget, seq: Any) -> Any:
    """The first item."""
    return next(budget.iterate(seq), Undefined("No first item, sequence was empty."))


def last(_: Budget, seq: Any) -> Any:
    """The last item."""
    return next(reversed(seq), Undefined("No last item, sequence was empty."))


def reverse_items(budget: Budget, value: Any) -> Any:
    """The items from the last to the first; a text backwards."""
    if isinstance(value, str):
        return value[::-1]
    try:
        return reversed(value)
    except TypeError:
        return list(budget.iterate(value))[::-1]


def items_of(budget: Budget, value: Any) -> Iterator[Any]:
    """Pairs of a dictionary; none of what is undefined."""
    if not isinstance(value, dict | Undefined):
        raise TypeError("Can only get item pairs from a mapping.")
    if isinstance(value, dict):
        yield from budget.iterate(value.items())


def sort(
    budget: Budget,
    value: Any,
    reverse: bool = False,
    case_sensitive: bool = False,
    attribute: str | int | None = None,
) -> list[Any]:
    """The items in order, texts without regard to case unless it is asked for."""

    def key(item: Any) -> list[Any]:
        parts = attribute.split(",") if isinstance(attribute, str) else [attribute]
        found = [attribute_at(budget, item, part) for part in parts]
        return found if case_sensitive else [_ignore_case(budget, part) for part in found]

    items = list(budget.iterate(value))
    budget.step(len(items))
    keys = budget.charge([key(item) for item in items])
    budget.weigh(keys)
    order = sorted(range(len(items)), key=keys.__getitem__, reverse=reverse)
    return [items[number] for number in order]


def sort_pairs(
    budget: Budget,
    value: Any,
    case_sensitive: bool = False,
    by: str = "key",
    reverse: bool = False,
) -> list[Any]:
    """Pairs of a dictionary, ordered by key or value."""
    if by not in ("key", "value"):
        raise FilterArgumentError('You can only sort by either "key" or "value"')
    pairs = list(budget.iterate(value.items() if isinstance(value, dict) else value))
    return sort(budget, pairs, reverse, case_sensitive, 0 if by == "key" else 1)


def unique(
    budget: Budget, value: Any, case_sensitive: bool = False, attribute: str | int | None = None
) -> Iterator[Any]:
    """The items without those that came before."""
    seen = set()
    for item in budget.iterate(value):
        budget.step()
        key = attribute_at(budget, item, attribute)
        key = key if case_sensitive else _ignore_case(budget, key)
        check_key(key)
        if key not in seen:
            seen.add(key)
            yield item


def extreme(choose: Callable[..., Any]) -> Callable[..., Any]:
    """``min`` or ``max``."""

    def apply(
        budget: Budget, value: Any, case_sensitive: bool = False, attribute: str | None = None
    ) -> Any:
        items = sort(budget, value, choose is max, case_sensitive, attribute)
        return items[0] if items else Undefined("No aggregated item, sequence was empty.")

    return apply


def add_up(
    budget: Budget, iterable: Any, attribute: str | int | None = None, start: Any = 0
) -> Any:
    """The sum of the items, each addition within the limits."""
    total = start
    for item in _attributes(budget, iterable, attribute):
        budget.step()
        total = apply_operator(budget, "+", total, item)
    return total


def join(budget: Budget, value: Any, d: Any = "", attribute: str | int | None = None) -> str:
    """The texts of the items with another between them."""
    items = _attributes(budget, value, attribute)
    return join_texts(budget, str(budget.text(d)), (str(budget.text(item)) for item in items))


def _attributes(budget: Budget, value: Any, attribute: str | int | None) -> Iterator[Any]:
    return (attribute_at(budget, item, attribute) for item in budget.iterate(value))


def attribute_at(budget: Budget, item: Any, attribute: str | int | None) -> Any:
    """An attribute by a path such as ``"function.name"`` or ``"0"``; None is the item itself."""
    path: list[Any] = attribute.split(".") if isinstance(attribute, str) else [attribute]
    for part in path if attribute is not None else ():
        budget.step()
        number = isinstance(part, str) and part.isdecimal()
        item = item_of(budget, item, int(part) if number else part)
    return item


def _ignore_case(budget: Budget, value: Any) -> Any:
    return budget.charge(value.lower()) if isinstance(value, str) else value
