"""A model that calls functions until it has an answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import InputError, shown
from lmkernel.generation import TextGeneration
from lmkernel.generation.answers import asked_options, scored_tokens
from lmkernel.inspection.inputs import check_ids, conversation
from lmkernel.prompts import Prompt
from lmkernel.structured import (
    CallReader,
    Grammar,
    Tool,
    call_grammar,
    format_of,
    render_with_tools,
    tool_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Unpack

    from lmkernel.generation import GenerationChanges, GenerationOptions
    from lmkernel.language_model import LanguageModel

__all__ = ["ToolAnswer", "chat_with_tools"]


@final
@dataclass(frozen=True)
class ToolAnswer:
    """An answer, and what was called for it.

    Args:
        text: of the last message.
        finish_reason: ``"stop"``, ``"length"``, or ``"tool_calls"`` where the rounds were over.
        messages: the whole conversation; its calls and their results are messages, too.
    """

    text: str
    finish_reason: str
    messages: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        return self.text

    def json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {**dataclasses.asdict(self), "messages": list(self.messages)}


def chat_with_tools(
    model: LanguageModel,
    messages: str | Iterable[Mapping[str, Any]],
    tools: Sequence[Callable[..., object] | Tool],
    options: GenerationOptions | None = None,
    *,
    rounds: int = 8,
    **changes: Unpack[GenerationChanges],
) -> ToolAnswer:
    """Answer a question; functions that the model calls are called, and it is told the results.

    The arguments of a call always fit the function's parameters. What a function raises is raised;
    one that shall tell the model of a fault returns a text that says so.

    Args:
        model: with a chat template; one that knows no tools is told of them in words.
        messages: a question, or the messages of a conversation.
        tools: Python functions, whose parameters have annotations and whose docstring says what
            they do; or tools with a function.
        options: how to generate.
        rounds: how often the model may call before its answer is taken as it is.
        changes: single options in place of those.

    Raises:
        InputError: a function that cannot be described, two of one name, or a schema for the
            answer, which is not for answers that call.
        TemplateError: the model has no chat template, or it fails.
        MissingDependencyError: llguidance is not installed.
    """
    asked = asked_options(model, options, changes)
    if asked.json_schema is not None or asked.num_beams > 1:
        raise InputError("chat_with_tools: expected no json_schema and one beam")
    known = _tools_by_name(tools)
    form = format_of(model.tokenizer)
    source = call_grammar(form, [*known.values()], model.tokenizer)
    grammar = Grammar(model.grammar_tokenizer, source)
    told: list[dict[str, Any]] = [dict(message) for message in conversation(messages)]
    ends = asked.end_ids(() if asked.ignore_eos else model.end_ids)
    while True:
        ids = model.token_ids(
            render_with_tools(model.tokenizer, told, [*known.values()]), special_tokens=False
        )
        check_ids(model.config, ids)
        answer = TextGeneration(
            scored_tokens(model, Prompt(ids), asked, ends, [grammar.mask()]),
            model.tokenizer,
            stop=asked.stop_strings,
            end_ids=ends,
            shown=form.shown_ids(model.tokenizer),
        )
        message = _message(CallReader(form), answer)
        told.append(message)
        calls = message.get("tool_calls", ())
        rounds -= 1
        if not calls or rounds < 0 or answer.finish_reason != "stop":
            reason = (
                "tool_calls" if calls and answer.finish_reason == "stop" else answer.finish_reason
            )
            return ToolAnswer(message["content"], reason, tuple(told))
        told += [_result(known, call) for call in calls]


def _tools_by_name(tools: Sequence[Callable[..., object] | Tool]) -> dict[str, Tool]:
    if not isinstance(tools, list | tuple) or not tools:
        raise InputError(f"tools: expected a list of at least one function, got {shown(tools)}")
    made = [one if isinstance(one, Tool) else tool_of(one) for one in tools]
    known = {tool.name: tool for tool in made}
    if len(known) < len(made):
        raise InputError(f"tools: expected names of their own, got {shown([t.name for t in made])}")
    return known


def _message(reader: CallReader, answer: Iterable[str]) -> dict[str, Any]:
    """The message of an answer, with its calls."""
    text = ""
    calls: list[dict[str, Any]] = []
    parts = [part for piece in answer for part in reader.push(piece)]
    for part in [*parts, *reader.finish()]:
        if part.call < 0:
            text += part.text
        elif part.name:
            function = {"name": part.name, "arguments": ""}
            calls.append({"id": f"{part.call:09}", "type": "function", "function": function})
        else:
            calls[part.call]["function"]["arguments"] += part.text
    return {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}


def _result(known: Mapping[str, Tool], call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    result = known[function["name"]].call(function["arguments"])
    return {"role": "tool", "tool_call_id": call["id"], "name": function["name"], "content": result}
