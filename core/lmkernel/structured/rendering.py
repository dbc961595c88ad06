"""Conversations with tools, as a model's template writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmkernel.errors import InputError, shown
from lmkernel.structured.formats import HERMES, call_format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.structured.formats import CallFormat
    from lmkernel.structured.tools import Tool
    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["format_of", "render_with_tools", "with_argument_objects"]


def format_of(tokenizer: Tokenizer) -> CallFormat:
    """The format of calls of a model; see `call_format`."""
    return call_format(_template(tokenizer))


def render_with_tools(
    tokenizer: Tokenizer, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool]
) -> str:
    """The text of a conversation whose answer may call tools.

    Args:
        tokenizer: of the model. Where its template knows no tools, the model is told of them in
            words, before the first message, and of results as of what a user says.
        messages: also with ``tool_calls``, whose arguments are JSON, and of the role ``tool``.
        tools: what may be called.

    Raises:
        InputError: the arguments of a call are no object of JSON.
        TemplateError: there is no template, or it fails.
    """
    read = with_argument_objects(messages)
    if "tools" in _template(tokenizer) or not _template(tokenizer):
        return tokenizer.chat(read, tools=[tool.document() for tool in tools] or None)
    return tokenizer.chat([*_plain_messages(read, tools)])


def with_argument_objects(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages whose calls have their arguments as objects, as templates expect them.

    Args:
        messages: whose arguments of calls may be a text of JSON, as OpenAI's interface has them.

    Raises:
        InputError: the arguments of a call are no object of JSON.
    """
    return [_with_arguments(message, at) for at, message in enumerate(messages)]


def _template(tokenizer: Tokenizer) -> str:
    return tokenizer.templates.get("tool_use") or tokenizer.chat_template or ""


def _with_arguments(message: Mapping[str, Any], at: int) -> dict[str, Any]:
    calls = message.get("tool_calls")
    if not isinstance(calls, list | tuple):
        return dict(message)
    return {**message, "tool_calls": [_with_object(call, at) for call in calls]}


def _with_object(call: Any, at: int) -> Any:
    """A call, or the function in it, with its arguments as an object; else as it is."""
    if not isinstance(call, Mapping):
        return call
    if "function" in call:
        return {**call, "function": _with_object(call["function"], at)}
    return {**call, "arguments": _object(call, at)} if "arguments" in call else call


def _object(function: Mapping[str, Any], at: int) -> dict[str, Any]:
    given = function["arguments"]
    try:
        read = json.loads(given or "{}") if isinstance(given, str) else given
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise InputError(
            f"messages.{at}: expected the arguments of {function.get('name')!r:.80} as an object "
            f"of JSON, got {shown(given)}"
        )
    return read


def _plain_messages(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool]
) -> list[dict[str, Any]]:
    """The same conversation for a model whose template knows texts alone."""
    plain: list[dict[str, Any]] = []
    for message in messages:
        text = message.get("content") or ""
        if message["role"] == "tool":
            plain.append({"role": "user", "content": f"<tool_response>\n{text}\n</tool_response>"})
        elif message.get("tool_calls"):
            calls = [text] * bool(text) + [_call_text(call) for call in message["tool_calls"]]
            plain.append({"role": message["role"], "content": "\n".join(calls)})
        else:
            plain.append(dict(message))
    if not tools:
        return plain
    system = plain[0]["content"] + "\n\n" if plain and plain[0]["role"] == "system" else ""
    rest = plain[1:] if system else plain
    return [{"role": "system", "content": system + _words(tools)}, *rest]


def _call_text(call: Mapping[str, Any]) -> str:
    form, function = HERMES, call["function"]
    begin = f"{form.marker}{form.opening}{form.before}{function['name']}{form.between}"
    return f"{begin}{json.dumps(function['arguments'])}{form.after}"


def _words(tools: Sequence[Tool]) -> str:
    described = "\n".join(json.dumps(tool.document()["function"]) for tool in tools)
    example = {"function": {"name": "NAME", "arguments": {"PARAMETER": "VALUE"}}}
    return (
        f"These functions may be called:\n{described}\n\n"
        f"A call is written as follows, and its result is then told:\n{_call_text(example)}"
    )
