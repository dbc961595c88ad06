"""The filters of a chat template that make text of a value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jinja2 import filters
from jinja2.exceptions import FilterArgumentError

from lmkernel.errors import TemplateError
from lmkernel.tokenizers.template.formatting import percent_format
from lmkernel.tokenizers.template.methods import pad_text, replace_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.tokenizers.template.budget import Budget

__all__ = ["center", "format_text", "indent", "on_text", "replace", "title", "to_json", "trim"]

_MAX_INDENT = 64


def on_text(change: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of a value's text, whose result is about as long."""
    return lambda budget, value: change(budget.text(value))


def title(budget: Budget, value: Any) -> str:
    """Each word with a capital first."""
    text = budget.text(value)
    budget.expect(items=len(text))  # Jinja splits it into words and spaces first
    return filters.do_title(text)


def trim(budget: Budget, value: Any, chars: str | None = None) -> str:
    """The text without spaces, or other characters, at its ends."""
    text = budget.text(value)
    budget.expect_scan(text, chars)
    return text.strip(chars)


def replace(budget: Budget, s: Any, old: Any, new: Any, count: int | None = None) -> str:
    """The text with one part of it replaced by another."""
    text = budget.text(s)
    times = -1 if count is None else count
    return replace_text(budget, text, budget.text(old), budget.text(new), times)


def indent(
    budget: Budget, s: Any, width: int | str = 4, first: bool = False, blank: bool = False
) -> str:
    """The lines of the text behind a margin."""
    if not isinstance(s, str):
        raise TypeError(f"expected a text to indent, got a {type(s).__name__}")
    margin = len(width) if isinstance(width, str) else width
    budget.expect(characters=len(s) + (len(s.splitlines()) + 2) * max(0, margin))
    return filters.do_indent(s, width, first, blank)


def format_text(budget: Budget, value: Any, *args: Any, **kwargs: Any) -> str:
    """``value % args``."""
    if args and kwargs:
        raise FilterArgumentError("can't handle positional and keyword arguments at the same time")
    return percent_format(budget, str(budget.text(value)), kwargs or args)


def center(budget: Budget, value: Any, width: int = 80) -> str:
    """The text in the middle of a line."""
    return pad_text(budget, "center", budget.text(value), width)


def to_json(
    budget: Budget,
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as the ecosystem's templates expect it: Jinja's own filter escapes for HTML."""
    weight = budget.weigh(value)
    margin = len(indent) if isinstance(indent, str) else indent or 0
    between = sum(map(len, separators or ()))
    if max(margin, between) > _MAX_INDENT:
        raise TemplateError(f"the chat template indents JSON by over {_MAX_INDENT}")
    budget.expect(characters=weight.items * (between + max(0, margin) * weight.depth))
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )
