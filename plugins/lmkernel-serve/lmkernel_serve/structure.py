"""What an answer must look like: calls of tools, JSON of a schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import InputError
from lmkernel.structured import Grammar, Tool, call_grammar, format_of, json_grammar
from lmkernel_serve.errors import ApiError

if TYPE_CHECKING:
    from lmkernel.structured import CallFormat
    from lmkernel_serve.documents import ChatDocument, NamedTool, ResponseFormat
    from lmkernel_serve.served import Served

__all__ = ["Structure", "structure_of", "tools_of"]


@final
@dataclass(frozen=True)
class Structure:
    """The form of an answer.

    Args:
        calls: how calls are written in it; None where there are none.
        grammar: what it is kept to; None for any text.
        free: whether any text may come first.
    """

    calls: CallFormat | None = None
    grammar: Grammar | None = None
    free: bool = True


def tools_of(document: ChatDocument) -> list[Tool]:
    """The tools that an answer may call.

    Raises:
        ApiError: two have one name, or that which must be called is none of them.
    """
    tools = []
    for at, one in enumerate(document.tools or ()):
        own = one.function
        try:
            tools.append(Tool(own.name, own.parameters or {}, own.description or ""))
        except InputError as error:
            raise ApiError(str(error), param=f"tools.{at}") from error
    names = [tool.name for tool in tools]
    if len(set(names)) < len(names):
        raise ApiError(f"tools: expected names of their own, got {names!r:.200}", param="tools")
    choice = document.tool_choice
    if choice is None or choice == "auto":
        return tools
    if choice == "none":
        return []
    if not tools:
        raise ApiError("tool_choice: expected tools to choose from", param="tool_choice")
    if choice != "required":
        _named(choice, tools)
    return tools


def structure_of(served: Served, document: ChatDocument, tools: list[Tool]) -> Structure:
    """The form that a request asks for.

    Args:
        served: who answers.
        document: the request.
        tools: from `tools_of`.

    Raises:
        ApiError: a schema is missing, or is none.
    """
    schema = _schema(document.response_format)
    if document.ignore_eos and (tools or schema is not None):
        raise ApiError("ignore_eos: expected false beside tools or a schema", param="ignore_eos")
    if not tools:
        if schema is None:
            return Structure()
        grammar = _grammar(served, json_grammar(schema), "response_format")
        return Structure(grammar=grammar, free=False)
    choice, own = document.tool_choice or "auto", served.model.tokenizer
    named = not isinstance(choice, str)
    form = format_of(own)
    source = call_grammar(
        form,
        tools if isinstance(choice, str) else [_named(choice, tools)],
        own,
        required=choice != "auto",
        parallel=document.parallel_tool_calls is not False and not named,
        answer=schema,
    )
    free = choice == "auto" and schema is None
    return Structure(form, _grammar(served, source, "tools"), free=free)


def _named(choice: NamedTool, tools: list[Tool]) -> Tool:
    for tool in tools:
        if tool.name == choice.function.name:
            return tool
    raise ApiError(
        f"tool_choice: expected one of {', '.join(tool.name for tool in tools)}, "
        f"got {choice.function.name!r:.80}",
        param="tool_choice",
    )


def _schema(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    """The schema of a response format; None where any text will do."""
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {"type": "object"}
    if wanted.json_schema is None:
        raise ApiError("response_format: expected a json_schema", param="response_format")
    return wanted.json_schema.json_schema


def _grammar(served: Served, source: str, param: str) -> Grammar:
    try:
        return Grammar(served.model.grammar_tokenizer, source)
    except InputError as error:
        raise ApiError(f"{param}: {error}"[:1000], param=param) from error
