"""``/v1/responses``, which coding agents ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel_conformance.endpoint.case import cases_of
from lmkernel_conformance.endpoint.cases.tools import SCHEMA, require_arguments
from lmkernel_conformance.endpoint.wire import expect, require_error

if TYPE_CHECKING:
    from lmkernel_conformance.endpoint.wire import Endpoint

__all__ = ["CASES"]

_PATH = "/responses"
_TOOL = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}
_CALLS: dict[str, Any] = {"tools": [_TOOL], "tool_choice": "required", "max_output_tokens": 200}
_DELTA = "response.output_text.delta"


def _body(endpoint: Endpoint, **changes: Any) -> dict[str, Any]:
    usual = {"model": endpoint.model, "input": "A cat and a mat?", "temperature": 0}
    return {**usual, "max_output_tokens": 24, **changes}


def _text(response: dict[str, Any]) -> str:
    messages = [item for item in response.get("output", ()) if item.get("type") == "message"]
    expect("a message", messages, response)
    return "".join(part["text"] for part in messages[0]["content"])


def a_response_is_answered(endpoint: Endpoint) -> None:
    """A response has its members, a message, and usage."""
    answer = endpoint.ask(_PATH, _body(endpoint))
    expect("the object response", answer.get("object") == "response", answer)
    expect("a status", answer.get("status") in {"completed", "incomplete"}, answer)
    expect("a text", isinstance(_text(answer), str), answer)
    usage = answer.get("usage") or {}
    total = usage.get("input_tokens", 0) + usage.get("output_tokens", 0)
    expect("usage that adds up", total and usage.get("total_tokens") == total, usage)


def events_are_in_order(endpoint: Endpoint) -> None:
    """The events of a text begin, go on and end as clients expect; they are numbered."""
    events = endpoint.typed_events(_PATH, _body(endpoint))
    kinds = list(dict.fromkeys(event["type"] for event in events))
    ends = {"response.completed", "response.incomplete"}
    expect("response.created first", kinds[0] == "response.created", kinds)
    expect("an end last", kinds[-1] in ends, kinds)
    order = [
        "response.output_item.added",
        "response.content_part.added",
        _DELTA,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
    ]
    expect(" → ".join(order), [kind for kind in kinds if kind in order] == order, kinds)
    numbers = [event.get("sequence_number") for event in events]
    expect("numbers from 0 on", numbers == list(range(len(events))), numbers)
    text = "".join(event["delta"] for event in events if event["type"] == _DELTA)
    expect("the text of the deltas", _text(events[-1]["response"]) == text, text)


def items_are_taken(endpoint: Endpoint) -> None:
    """Input may be messages with parts, and instructions a text."""
    message = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "A cat and a mat?"}],
    }
    found = _text(endpoint.ask(_PATH, _body(endpoint, input=[message])))
    same = _text(endpoint.ask(_PATH, _body(endpoint)))
    expect(f"{same!r:.120}", found == same, found)
    endpoint.ask(_PATH, _body(endpoint, instructions="Be brief."))


def a_function_is_called(endpoint: Endpoint) -> None:
    """A call is an item with call_id, name and arguments; its result is taken."""
    answer = endpoint.ask(_PATH, _body(endpoint, **_CALLS))
    calls = [item for item in answer["output"] if item["type"] == "function_call"]
    expect("a function_call", calls, answer["output"])
    for call in calls:
        expect("the name weather", call.get("name") == "weather", call)
        require_arguments(call.get("arguments"))
    results = [
        {"type": "function_call_output", "call_id": c["call_id"], "output": "sun"} for c in calls
    ]
    told = [{"role": "user", "content": "A cat and a mat?"}, *calls, *results]
    more = {"tools": [_TOOL], "tool_choice": "none"}
    _text(endpoint.ask(_PATH, _body(endpoint, input=told, **more)))


def calls_have_events(endpoint: Endpoint) -> None:
    """A call's arguments come in deltas, and are then done."""
    events = endpoint.typed_events(_PATH, _body(endpoint, **_CALLS))
    kind = "response.function_call_arguments"
    deltas = [event for event in events if event["type"] == f"{kind}.delta"]
    done = [event for event in events if event["type"] == f"{kind}.done"]
    expect("deltas, and an end", deltas and done, [event["type"] for event in events])
    first = done[0]
    own = [event["delta"] for event in deltas if event["item_id"] == first["item_id"]]
    expect("their text", "".join(own) == first["arguments"], first)
    require_arguments(first["arguments"])


def a_conversation_goes_on_from_a_response(endpoint: Endpoint) -> None:
    """``previous_response_id`` goes on with what was said; an unknown one is refused."""
    first = endpoint.ask(_PATH, _body(endpoint))
    more = _body(endpoint, input="And?", previous_response_id=first["id"])
    second = endpoint.ask(_PATH, more)
    counts = [answer["usage"]["input_tokens"] for answer in (first, second)]
    expect("more tokens than before", counts[1] > counts[0], counts)
    unknown = _body(endpoint, previous_response_id="resp_unknown")
    require_error(endpoint.post(_PATH, unknown), 400, 404)


CASES = cases_of(
    "responses",
    (
        a_response_is_answered,
        events_are_in_order,
        items_are_taken,
        a_function_is_called,
        calls_have_events,
        a_conversation_goes_on_from_a_response,
    ),
)
