"""``/v1/responses``, by the real client: whole, as events, gone on with, with tools and schemas."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai
import pydantic
import pytest
from lmkernel_serve.response_store import ResponseStore

if TYPE_CHECKING:
    from lmkernel.language_model import LanguageModel

SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["A", "B"]}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL: dict[str, Any] = {"type": "function", "name": "weather", "parameters": SCHEMA}
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "B"}}\n</tool_call>'


def respond(client: openai.OpenAI, **changes: Any) -> Any:
    asked = {"model": "caller", "input": "the cat?", "max_output_tokens": 20, "temperature": 0}
    return client.responses.create(**{**asked, **changes})


def test_a_response_is_the_librarys_answer(caller: Any) -> None:
    client, model = caller
    answer, expected = respond(client), model.chat("the cat?", max_new_tokens=20)
    assert answer.output_text == expected.text
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.usage.output_tokens == 20
    assert answer.usage.total_tokens == answer.usage.input_tokens + 20
    [message] = answer.output
    assert (message.type, message.role, message.status) == ("message", "assistant", "incomplete")
    assert (answer.object, answer.error, answer.previous_response_id) == ("response", None, None)


def test_instructions_and_items_are_messages(caller: Any) -> None:
    client, model = caller
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "the cat"},
        {"role": "assistant", "content": "sat"},
        {"role": "user", "content": "where?"},
    ]
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "the cat"}]},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "sat"}],
        },
        {"type": "message", "role": "user", "content": "where?"},
    ]
    answer = respond(client, instructions="Be brief.", input=items)
    assert answer.output_text == model.chat(messages, max_new_tokens=20).text


TEXT = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


def kinds(events: list[Any]) -> list[str]:
    """The types of events, each of several in a row named once."""
    found = [event.type for event in events]
    return [one for at, one in enumerate(found) if found[at - 1 : at] != [one]]


def test_the_events_of_a_text_are_in_order(caller: Any, write: Any) -> None:
    client, model = caller
    write(model, "The cat sat.")
    events = list(respond(client, stream=True))
    assert kinds(events) == TEXT
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    last = events[-1].response
    assert text == last.output_text == "The cat sat."
    assert events[0].response.id == last.id
    assert events[0].response.status == "in_progress"
    assert last.usage.output_tokens > 3
    assert events[-2].item == last.output[0]


def test_a_call_is_an_item_with_events_of_its_own(caller: Any, write: Any) -> None:
    client, model = caller
    write(model, f"Let me see.\n{CALL}")
    events = list(respond(client, stream=True, tools=[TOOL], max_output_tokens=90))
    call = [
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert kinds(events) == TEXT[:-1] + call
    deltas = [e for e in events if e.type == "response.function_call_arguments.delta"]
    assert "".join(e.delta for e in deltas) == '{"city": "B"}'
    assert {e.output_index for e in deltas} == {1}
    message, called = events[-1].response.output
    assert message.content[0].text == "Let me see."
    assert (called.type, called.name, called.arguments) == (
        "function_call",
        "weather",
        '{"city": "B"}',
    )
    whole = respond(client, tools=[TOOL], max_output_tokens=90)
    assert [item.type for item in whole.output] == ["message", "function_call"]
    assert whole.tools[0].name == "weather"


def test_results_of_calls_are_told_back(caller: Any, write: Any) -> None:
    client, model = caller
    write(model, CALL)
    first = respond(client, tools=[TOOL], max_output_tokens=90)
    [call] = first.output
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sun"}
    write(model, "Sunny.")
    asked = {"tools": [TOOL], "max_output_tokens": 90}
    kept = respond(client, input=[result], previous_response_id=first.id, **asked)
    told = [{"role": "user", "content": "the cat?"}, call.to_dict(), result]
    anew = respond(client, input=told, **asked)
    assert kept.output_text == anew.output_text == "Sunny."
    assert kept.usage.input_tokens == anew.usage.input_tokens


def test_a_conversation_goes_on_from_a_response(caller: Any) -> None:
    client, model = caller
    first = respond(client, instructions="Be brief.")
    second = respond(client, input="and?", previous_response_id=first.id)
    messages = [
        {"role": "user", "content": "the cat?"},
        {"role": "assistant", "content": first.output_text},
        {"role": "user", "content": "and?"},
    ]
    assert second.output_text == model.chat(messages, max_new_tokens=20).text
    assert second.previous_response_id == first.id
    assert client.responses.retrieve(first.id).output_text == first.output_text


def test_what_is_not_kept_cannot_be_gone_on_with(caller: Any) -> None:
    client, _ = caller
    gone = respond(client, store=False, max_output_tokens=1)
    kept = respond(client, max_output_tokens=1)
    client.responses.delete(kept.id)
    for name in (gone.id, kept.id, "resp_none"):
        with pytest.raises(openai.BadRequestError) as caught:
            respond(client, previous_response_id=name)
        assert caught.value.code == "previous_response_not_found"
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(name)
        with pytest.raises(openai.NotFoundError):
            client.responses.delete(name)


def test_the_store_has_bounds() -> None:
    few, small = ResponseStore(most=2), ResponseStore(most_bytes=1000)
    for number in range(9):
        few.keep({"id": str(number)}, [])
        small.keep({"id": str(number), "text": "x" * 300}, [{"content": "y"}])
    for store in (few, small):
        assert store.body("8")
        assert store.messages("8") == ([{"content": "y"}] if store is small else [])
        assert store.messages("7") is not None
        with pytest.raises(Exception, match="no response '5' is kept here"):
            store.body("5")
    small.keep({"id": "long", "text": "x" * 2000}, [])
    assert not small._kept
    assert small._bytes == 0


def test_log_probabilities_are_shown_where_they_are_asked_for(
    caller: tuple[openai.OpenAI, LanguageModel],
) -> None:
    client, model = caller
    more = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    [message] = respond(client, **more).output
    expected = model.chat("the cat?", max_new_tokens=20)
    scored = message.content[0].logprobs
    assert [one.logprob for one in scored] == pytest.approx(expected.log_probs, abs=1e-4)
    assert {len(one.top_logprobs) for one in scored} == {2}
    events = [e for e in respond(client, stream=True, **more) if "text.delta" in e.type]
    streamed = [one.logprob for event in events for one in event.logprobs]
    assert streamed == pytest.approx(expected.log_probs, abs=1e-4)
    assert respond(client).output[0].content[0].logprobs == []


def test_a_schema_is_kept_to_and_parsed(caller: Any) -> None:
    client, _ = caller

    class Weather(pydantic.BaseModel):
        rainy: bool

    answer = client.responses.parse(
        model="caller", input="rain?", text_format=Weather, temperature=2.0
    )
    assert isinstance(answer.output_parsed, Weather)
    assert answer.status == "completed"
    form = {"type": "json_schema", "name": "x", "schema": SCHEMA}
    assert json.loads(respond(client, text={"format": form}).output_text)["city"] in {"A", "B"}
    called = respond(client, tools=[TOOL], tool_choice="required", max_output_tokens=90)
    assert json.loads(called.output[0].arguments)["city"] in {"A", "B"}


AGENT = {
    "model": "caller",
    "instructions": "You are a coding agent.",
    "input": [
        {
            "type": "message",
            "role": "developer",
            "content": [{"type": "input_text", "text": "<permissions>"}],
        },
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "ls"}]},
    ],
    "tools": [
        {
            "type": "function",
            "name": "shell",
            "description": "Runs a command.",
            "strict": False,
            "parameters": {
                "type": "object",
                "properties": {"command": {"type": "array", "items": {"type": "string"}}},
                "required": ["command"],
                "additionalProperties": False,
            },
        }
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "a-session",
}


def test_what_a_coding_agent_sends_is_answered(caller: Any, write: Any) -> None:
    """The fields that Codex sends, as its documentation of the protocol has them."""
    client, model = caller
    write(model, '<tool_call>\n{"name": "shell", "arguments": {"command": ["ls"]}}\n</tool_call>')
    events = list(client.responses.create(**AGENT))
    assert kinds(events)[-1] == "response.completed"
    [call] = events[-1].response.output
    assert json.loads(call.arguments) == {"command": ["ls"]}


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"background": True}, "background", "background"),
    ({"tools": [{"type": "web_search"}]}, "tools.0", "tools.0.type"),
    ({"input": []}, "input", "input"),
    ({"input": [{"type": "item_reference", "id": "x"}]}, "item_reference", "input.0"),
    ({"conversation": "x"}, "does not know this field", "conversation"),
    ({"top_logprobs": 2}, "expected 'message.output_text.logprobs' in include", "top_logprobs"),
    ({"tools": [TOOL, TOOL]}, "expected names of their own", "tools"),
    (
        {"text": {"format": {"type": "json_schema", "name": "x"}}},
        "expected name and schema",
        "text.format",
    ),
    (
        {"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": 7}}}},
        "text.format: expected a schema",
        "text.format",
    ),
    ({"model": "huge"}, "does not exist here", "model"),
]


@pytest.mark.parametrize(("changes", "message", "param"), REFUSED)
def test_what_cannot_be_had_is_refused_by_name(
    caller: Any, changes: dict[str, Any], message: str, param: str
) -> None:
    client, _ = caller
    with pytest.raises(openai.APIStatusError, match=message) as caught:
        respond(client, extra_body=changes)
    assert str(caught.value.param).startswith(param)


def test_an_error_within_a_stream_is_its_last_event(
    caller: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmkernel.generation import Scheduler

    client, _ = caller
    stream = iter(respond(client, stream=True, max_output_tokens=400))
    first = next(stream)
    monkeypatch.setattr(Scheduler, "step", lambda _: 1 / 0)
    events = [first, *stream]
    assert events[-1].type == "response.failed"
    assert events[-1].response.status == "failed"
    assert "division" not in events[-1].response.error.message
