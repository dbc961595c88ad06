"""Chat templates: Jinja from a checkpoint, so from a stranger.

Constraints: sandboxed and immutable, without Python's own attributes, and bounded in steps, time,
output and the size of an operator's result. The counter of steps is inserted into each loop and
macro when a template is compiled. The environment is the ecosystem's: trim_blocks, lstrip_blocks,
loop controls, raise_exception, strftime_now, a tojson that escapes nothing, the generation tag.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import TYPE_CHECKING, Any, final

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.filters import make_attrgetter
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lmkernel.errors import TemplateError
from lmkernel.tokenizers.template_guards import check_method, check_operation, guard_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jinja2.parser import Parser
    from jinja2.runtime import Context

__all__ = ["MAX_SECONDS", "compile_template"]

MAX_OUTPUT = 4_000_000  # characters of a rendered chat
MAX_STEPS = 500_000  # turns of loops and calls of macros
MAX_SECONDS = 5.0
_BUDGET = "_lmkernel_budget"


def compile_template(source: str) -> Callable[..., str]:
    """A function from a template's variables to its text.

    Raises:
        TemplateError: the source does not parse; the function raises it where rendering fails.
    """
    environment = _Environment()
    try:
        code = environment.compile(guard_template(environment.parse(source)))
    except (jinja2.TemplateError, RecursionError) as error:
        raise TemplateError(f"the chat template does not parse: {_reason(error)}") from error
    template = jinja2.Template.from_code(environment, code, environment.make_globals(None))

    def render(**variables: Any) -> str:
        try:
            return _collect(template.generate({**variables, _BUDGET: _Budget()}))
        except TemplateError:
            raise
        except Exception as error:  # whatever a stranger's template raises is its own fault
            raise TemplateError(f"the chat template fails: {_reason(error)}") from error

    return render


def _collect(parts: Iterable[str]) -> str:
    """Join what a template gives, up to the limit."""
    kept, size = [], 0
    for part in parts:
        kept.append(part)
        size += len(part)
        if size > MAX_OUTPUT:
            raise TemplateError(f"the chat template gives over {MAX_OUTPUT} characters")
    return "".join(kept)


def _reason(error: Exception) -> str:
    """The error's own words, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


@final
class _Budget:
    """What one rendering has left to spend."""

    def __init__(self) -> None:
        self._steps = MAX_STEPS
        self._end = time.monotonic() + MAX_SECONDS

    def spend(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise TemplateError(f"the chat template takes over {MAX_STEPS} steps")
        if time.monotonic() > self._end:
            raise TemplateError(f"the chat template takes over {MAX_SECONDS:g} seconds")


@final
class _Generation(Extension):
    """``{% generation %}`` marks the assistant's words for training; a chat only passes them."""

    tags = {"generation"}  # noqa: RUF012 - declared by jinja2 as an instance's variable

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@final
class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, with the limits and with what templates of the ecosystem call."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _Generation],
        )
        del self.globals["lipsum"]
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = _strftime_now
        self.filters["tojson"] = _tojson
        self.filters["join"] = _join
        self.filters["replace"] = _replace

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuse an operation whose result would be huge, before it is made."""
        check_operation(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Refuse a method of a text whose result would be huge, before it is called."""
        check_method(obj, args)
        return super().call(context, obj, *args, **kwargs)

    @staticmethod
    @jinja2.pass_context
    def lmkernel_step(context: Context) -> None:
        """The call that `guard_template` inserts into loops and macros; none can rename it."""
        context.parent[_BUDGET].spend()

    @staticmethod
    def lmkernel_join(*parts: Any) -> str:
        """The operator ``~``, in terms of the bounded ``+``."""
        text = ""
        for part in map(str, parts):
            check_operation("+", text, part)
            text += part
        return text


def _raise_exception(message: str) -> None:
    text = " ".join(str(message).split())
    raise TemplateError(f"the chat template refuses the conversation: {text}")


def _strftime_now(form: str) -> str:
    return dt.datetime.now().astimezone().strftime(form)


@jinja2.pass_environment
def _join(
    environment: jinja2.Environment,
    value: Iterable[Any],
    d: str = "",
    attribute: str | int | None = None,
) -> str:
    """Jinja's filter, within the limits."""
    items = list(
        value if attribute is None else map(make_attrgetter(environment, attribute), value)
    )
    check_method(str(d).join, (items,))
    return str(d).join(map(str, items))


def _replace(value: str, old: str, new: str, count: int = -1) -> str:
    """Jinja's filter, within the limits."""
    text = str(value)
    check_method(text.replace, (old, new))
    return text.replace(old, new, count)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as the ecosystem's templates expect it: Jinja's own filter escapes for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )
