"""A chat template from its source: parsed by Jinja, bounded in size, and walked, never compiled.

The environment is the ecosystem's: trim_blocks, lstrip_blocks, loop controls, the generation tag,
raise_exception and strftime_now.
"""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, final

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.utils import Cycler, Joiner

from lmkernel.errors import TemplateError
from lmkernel.tokenizers.template.budget import Budget
from lmkernel.tokenizers.template.expressions import Scope
from lmkernel.tokenizers.template.statements import render_nodes
from lmkernel.tokenizers.template.values import Function, Namespace, check_key, plain_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jinja2.parser import Parser

__all__ = ["compile_template"]

MAX_SOURCE = 200_000  # characters; the longest of published models have about 30,000
MAX_NODES = 100_000  # of the syntax tree
MAX_NESTING = 150  # of the syntax tree
_MAX_RANGE = 100_000  # as in Jinja's sandbox
_MAX_DATE = 1_000  # characters of a date's format
_MAX_REASON = 300  # characters of an error's own words


def compile_template(source: str, name: str = "") -> Callable[..., str]:
    """A function from a template's variables to its text.

    Args:
        source: the template.
        name: the model or file that it comes from, which errors begin with.

    Raises:
        TemplateError: the source does not parse, or is too large; the function raises it where
            rendering fails.
    """
    with _naming(name):
        tree = _parse(source)

    def render(**variables: Any) -> str:
        with _naming(name):
            return _render(tree, variables)

    return render


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Say in an error which template it is about."""
    try:
        yield
    except TemplateError as error:
        if not name:
            raise
        raise type(error)(f"{name}: {error}") from error


def _render(tree: nodes.Template, variables: Mapping[str, Any]) -> str:
    budget = Budget()
    try:
        scope = Scope()
        scope.names.update(_globals(budget))
        scope.names.update((name, plain_data(value)) for name, value in variables.items())
        return str(render_nodes(budget, tree.body, scope))
    except TemplateError:
        raise
    except RecursionError as error:
        raise TemplateError("the chat template or its input nests too deeply") from error
    except Exception as error:  # whatever a stranger's template raises is its own fault
        raise TemplateError(f"the chat template fails: {_reason(error)}") from error


def _parse(source: str) -> nodes.Template:
    """The syntax tree, if it is small enough to be walked."""
    if len(source) > MAX_SOURCE:
        raise TemplateError(f"the chat template has over {MAX_SOURCE} characters")
    environment = jinja2.Environment(  # noqa: S701 - a chat is no HTML
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols", _Generation],
    )
    try:
        tree = environment.parse(source)
    except Exception as error:  # Jinja's parser lets Python's errors through
        raise TemplateError(f"the chat template does not parse: {_reason(error)}") from error
    _check_size(tree)
    return tree


def _check_size(tree: nodes.Template) -> None:
    """Refuse a tree that is too large or too deep, level by level."""
    level: list[nodes.Node] = [tree]
    count = 0
    for _ in range(MAX_NESTING):
        count += len(level)
        if count > MAX_NODES:
            raise TemplateError(f"the chat template has over {MAX_NODES} parts")
        level = [child for node in level for child in node.iter_child_nodes()]
        if not level:
            return
    raise TemplateError(f"the chat template nests over {MAX_NESTING} deep")


def _reason(error: Exception) -> str:
    """The error's own words, on one line."""
    words = " ".join(str(error)[: 10 * _MAX_REASON].split()) or type(error).__name__
    return words if len(words) <= _MAX_REASON else words[:_MAX_REASON] + "…"


@final
class _Generation(Extension):
    """``{% generation %}`` marks the assistant's words for training; a chat only passes them."""

    tags = {"generation"}  # noqa: RUF012 - declared by jinja2 as an instance's variable

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


def _globals(budget: Budget) -> dict[str, Any]:
    """What a template can name without being given it."""
    functions: Mapping[str, Callable[..., Any]] = {
        "cycler": Cycler,
        "dict": lambda *args, **kwargs: _dictionary(budget, *args, **kwargs),
        "joiner": Joiner,
        "namespace": lambda *args, **kwargs: Namespace(_dictionary(budget, *args, **kwargs)),
        "raise_exception": lambda message: _raise_exception(budget, message),
        "range": _range,
        "strftime_now": lambda form: budget.charge(_strftime_now(form)),
    }
    return {name: Function(name, function) for name, function in functions.items()}


def _dictionary(budget: Budget, /, source: Any = (), **more: Any) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for pair in budget.iterate(source.items() if isinstance(source, dict) else source):
        budget.step()  # many keys may have one hash
        key, value = budget.iterate(pair)
        check_key(key)
        result[key] = value
    return budget.charge(result | more)


def _range(*ends: int) -> range:
    numbers = range(*ends)
    if len(numbers) > _MAX_RANGE:
        raise OverflowError(f"Range too big. Chat templates have ranges up to {_MAX_RANGE}.")
    return numbers


def _raise_exception(budget: Budget, message: Any) -> None:
    words = _reason(ValueError(budget.text(message)))
    raise TemplateError(f"the chat template refuses the conversation: {words}")


def _strftime_now(form: str) -> str:
    if len(form) > _MAX_DATE:
        raise TemplateError(f"the chat template formats a date by over {_MAX_DATE} characters")
    return dt.datetime.now().astimezone().strftime(form)
