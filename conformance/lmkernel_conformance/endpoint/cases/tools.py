"""Calls of functions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.endpoint.asking import CHAT, QUESTION, chat, chat_body, content_of
from lmkernel_conformance.endpoint.case import cases_of
from lmkernel_conformance.endpoint.wire import expect, require_error

if TYPE_CHECKING:
    from lmkernel_conformance.endpoint.wire import Endpoint

__all__ = ["CASES", "require_arguments"]

SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Rome", "Oslo"]}, "days": {"enum": [1, 2, 3]}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
_WEATHER = {"name": "weather", "description": "The weather to come.", "parameters": SCHEMA}
_TOOLS = [{"type": "function", "function": _WEATHER}]
_ASKED = {"tools": _TOOLS, "tool_choice": "required", "max_tokens": 200}


def require_arguments(text: Any) -> None:
    """Arguments that fit `SCHEMA`."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        found = None
    fits = (
        isinstance(found, dict)
        and found.get("city") in {"Rome", "Oslo"}
        and found.get("days") in {1, 2, 3}
        and len(found) == 2  # noqa: PLR2004 - city and days
    )
    expect("arguments that fit their schema", fits, text)


def _calls(answer: dict[str, Any]) -> list[dict[str, Any]]:
    [choice] = answer["choices"]
    calls = choice["message"].get("tool_calls")
    expect("tool_calls", isinstance(calls, list) and calls, choice)
    found: list[dict[str, Any]] = calls
    return found


def a_call_can_be_required(endpoint: Endpoint) -> None:
    """``tool_choice: required`` has a call, with content null and the reason tool_calls."""
    answer = chat(endpoint, **_ASKED)
    [choice] = answer["choices"]
    for call in _calls(answer):
        expect("an id", isinstance(call.get("id"), str) and call["id"], call)
        expect("the type function", call.get("type") == "function", call)
        expect("the name weather", call["function"].get("name") == "weather", call)
        require_arguments(call["function"].get("arguments"))
    expect("content null", choice["message"].get("content") in {None, ""}, choice)
    expect("the reason tool_calls", choice.get("finish_reason") == "tool_calls", choice)


def arguments_always_fit(endpoint: Endpoint) -> None:
    """Arguments fit their schema though they are drawn at a high temperature."""
    named = {"type": "function", "function": {"name": "weather"}}
    for seed in range(3):
        asked = {**_ASKED, "tool_choice": named, "temperature": 1.8, "seed": seed}
        for call in _calls(chat(endpoint, **asked)):
            require_arguments(call["function"].get("arguments"))


def calls_are_streamed(endpoint: Endpoint) -> None:
    """Each delta of a call has its index, the first its id and name; together they are the call."""
    events = endpoint.events(CHAT, chat_body(endpoint, **_ASKED))
    deltas = [
        call
        for event in events
        for choice in event["choices"]
        for call in choice["delta"].get("tool_calls") or ()
    ]
    expect("deltas of calls", deltas, events[:3])
    expect("an index in each", all(isinstance(d.get("index"), int) for d in deltas), deltas)
    first = deltas[0]
    named = first.get("id") and first.get("type") == "function" and first["function"].get("name")
    expect("id, type and name in the first", named, first)
    own = [d for d in deltas if d["index"] == first["index"]]
    expect("one id", sum(bool(d.get("id")) for d in own) == 1, own)
    require_arguments("".join(d["function"].get("arguments") or "" for d in own))
    reasons = [c.get("finish_reason") for e in events for c in e["choices"]]
    expect("the reason tool_calls", reasons[-1] == "tool_calls", reasons)


def none_may_be_called(endpoint: Endpoint) -> None:
    """``tool_choice: none`` has a text."""
    answer = chat(endpoint, tools=_TOOLS, tool_choice="none")
    expect("no call", not answer["choices"][0]["message"].get("tool_calls"), answer)
    content_of(answer)


def results_are_told(endpoint: Endpoint) -> None:
    """A call's result goes back as a message of the role tool."""
    answer = chat(endpoint, **_ASKED)
    message = answer["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "sun"} for call in _calls(answer)
    ]
    messages = [*QUESTION, message, *results]
    told = chat(endpoint, messages=messages, tools=_TOOLS, tool_choice="none")
    content_of(told)
    counts = [a["usage"]["prompt_tokens"] for a in (answer, told)]
    without = chat(endpoint, tools=_TOOLS, tool_choice="none")["usage"]["prompt_tokens"]
    expect("more tokens than without them", counts[1] > without, counts)


def a_tool_that_is_not_there_cannot_be_chosen(endpoint: Endpoint) -> None:
    """A tool_choice of an unknown name is refused."""
    chat(endpoint, **_ASKED)
    named = {"type": "function", "function": {"name": "other"}}
    body = chat_body(endpoint, tools=_TOOLS, tool_choice=named)
    require_error(endpoint.post(CHAT, body), 400, 422)


CASES = cases_of(
    "tools",
    (
        a_call_can_be_required,
        arguments_always_fit,
        calls_are_streamed,
        none_may_be_called,
        results_are_told,
        a_tool_that_is_not_there_cannot_be_chosen,
    ),
)
