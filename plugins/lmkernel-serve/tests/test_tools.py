"""Tools in chat completions, by the real client: calls, streams of them, and results told back."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import openai
import pydantic
import pytest
from lmkernel_serve.served import Served

from lmkernel.structured import Tool, render_with_tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.language_model import LanguageModel

    Asked = tuple[openai.OpenAI, LanguageModel, str]

QUESTION: list[Any] = [{"role": "user", "content": "rain in B?"}]
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"enum": ["A", "B"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "now", "description": "The time."}},
]
ARGUMENTS = '{"city": "B", "days": 3}'
WRITTEN = {
    "<tool_call>": f'<tool_call>\n{{"name": "weather", "arguments": {ARGUMENTS}}}\n</tool_call>\n'
    '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>',
    '"parameters": ': f'{{"name": "weather", "parameters": {ARGUMENTS}}}; '
    '{"name": "now", "parameters": {}}',
    "[TOOL_CALLS]": f'[TOOL_CALLS][{{"name": "weather", "arguments": {ARGUMENTS}}}, '
    '{"name": "now", "arguments": {}}]',
    "[TOOL_CALLS][ARGS]": f"[TOOL_CALLS]weather[ARGS]{ARGUMENTS}[TOOL_CALLS]now[ARGS]{{}}",
}


@pytest.fixture
def asked(caller: tuple[openai.OpenAI, LanguageModel]) -> Asked:
    """A client, a model that writes calls as Hermes does, and two calls as it writes them."""
    return *caller, WRITTEN["<tool_call>"]


@pytest.fixture(scope="module", params=WRITTEN)
def each(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, calling: Any
) -> Iterator[Asked]:
    """The same, of every format."""
    with calling(tmp_path_factory.mktemp("tools"), request.param) as found:
        yield *found, WRITTEN[request.param]


def chat(client: openai.OpenAI, **changes: Any) -> Any:
    body = {"model": "caller", "messages": QUESTION, "tools": TOOLS, "max_tokens": 150}
    return client.chat.completions.create(**{**body, "temperature": 0, **changes})


def test_what_the_model_writes_becomes_calls(each: Any, write: Any) -> None:
    client, model, text = each
    write(model, text)
    [choice] = chat(client).choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    first, second = choice.message.tool_calls
    assert (first.type, first.function.name) == ("function", "weather")
    assert (first.function.arguments, second.function.arguments) == (ARGUMENTS, "{}")
    assert second.function.name == "now"
    assert first.id != second.id
    assert first.id.isalnum()
    assert len(first.id) == 9


def test_calls_in_a_stream_come_in_deltas(each: Any, write: Any) -> None:
    client, model, text = each
    write(model, text)
    chunks = list(chat(client, stream=True, logprobs=True))
    assert chunks[0].choices[0].delta.content is None
    deltas = [call for c in chunks for call in c.choices[0].delta.tool_calls or []]
    assert [d.index for d in deltas] == sorted(d.index for d in deltas)
    begun = [d for d in deltas if d.id]
    assert [(d.index, d.type, d.function.name) for d in begun] == [
        (0, "function", "weather"),
        (1, "function", "now"),
    ]
    parts = [d.function.arguments for d in deltas if d.index == 0]
    assert "".join(parts) == ARGUMENTS
    assert len(parts) > 3
    reasons = [c.choices[0].finish_reason for c in chunks]
    assert reasons == [None] * (len(chunks) - 1) + ["tool_calls"]
    scored = [e for c in chunks if c.choices[0].logprobs for e in c.choices[0].logprobs.content]
    assert len(scored) == len(model.tokenizer.encode(text, special_tokens=False))


def test_text_beside_tools_stays_text(asked: Any, write: Any) -> None:
    client, model, _ = asked
    write(model, 'No, {"a": 1} <tool_')
    [choice] = chat(client).choices
    assert (choice.message.content, choice.finish_reason) == ('No, {"a": 1} <tool_', "stop")
    assert choice.message.tool_calls is None
    text = "".join(c.choices[0].delta.content or "" for c in chat(client, stream=True))
    assert text == 'No, {"a": 1} <tool_'


def test_a_call_that_is_cut_says_so(asked: Any, write: Any) -> None:
    client, model, text = asked
    write(model, text)
    most = len(model.tokenizer.encode(text[: text.index('"B"')], special_tokens=False))
    [choice] = chat(client, max_tokens=most).choices
    assert choice.finish_reason == "length"
    [call] = choice.message.tool_calls
    assert ARGUMENTS.startswith(call.function.arguments)


@pytest.mark.parametrize("seed", range(2))
def test_a_call_that_must_be_fits_its_schema(asked: Any, seed: int) -> None:
    """Of a model that knows nothing, at a temperature at which it says anything."""
    client, _, _ = asked
    drawn = {"temperature": 2.0, "seed": seed, "parallel_tool_calls": False}
    for choice in chat(client, **drawn, tool_choice="required", n=2).choices:
        assert choice.finish_reason == "tool_calls"
        [call] = choice.message.tool_calls
        assert call.function.name in {"weather", "now"}
    named = {"type": "function", "function": {"name": "weather"}}
    [choice] = chat(client, **drawn, tool_choice=named).choices
    [call] = choice.message.tool_calls
    made = json.loads(call.function.arguments)
    assert made["city"] in {"A", "B"}
    assert 1 <= made["days"] <= 9
    assert set(made) == {"city", "days"}


def test_no_tool_is_told_of_where_none_may_be_called(asked: Any) -> None:
    client, model, _ = asked
    without = len(model.token_ids(model.tokenizer.chat(QUESTION), special_tokens=False))
    answer = chat(client, tool_choice="none", max_tokens=5)
    assert answer.usage.prompt_tokens == without
    assert answer.choices[0].message.tool_calls is None
    assert chat(client, max_tokens=5).usage.prompt_tokens > without


def test_results_are_told_back(asked: Any, write: Any) -> None:
    client, model, text = asked
    write(model, text)
    message = chat(client).choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "sun"} for call in message.tool_calls
    ]
    write(model, "No.")
    answer = chat(client, messages=[*QUESTION, message, *results])
    assert answer.choices[0].message.content == "No."
    told = [*QUESTION, {**message.to_dict(), "content": ""}, *results]
    tools = [Tool("weather", SCHEMA), Tool("now", {}, "The time.")]
    rendered = render_with_tools(model.tokenizer, told, tools)
    assert answer.usage.prompt_tokens == len(model.token_ids(rendered, special_tokens=False))
    assert '"city": "B"' in rendered


def test_an_answer_of_a_schema_stands_beside_tools(asked: Any, write: Any) -> None:
    client, model, text = asked
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": [[1], 2]}}}
    write(model, "[1]")
    assert chat(client, response_format=wanted).choices[0].message.content == "[1]"
    write(model, text)
    assert len(chat(client, response_format=wanted).choices[0].message.tool_calls) == 2


def test_classes_of_pydantic_are_parsed(asked: Any) -> None:
    client, _, _ = asked

    class Weather(pydantic.BaseModel):
        rainy: bool

    parsed = client.chat.completions.parse(
        model="caller",
        messages=QUESTION,
        tools=[openai.pydantic_function_tool(Weather)],
        tool_choice="required",
        parallel_tool_calls=False,
    )
    [call] = parsed.choices[0].message.tool_calls or []
    assert isinstance(call.function.parsed_arguments, Weather)
    answer = client.chat.completions.parse(
        model="caller", messages=QUESTION, response_format=Weather
    )
    assert isinstance(answer.choices[0].message.parsed, Weather)


def test_the_clients_own_stream_gathers_the_calls(asked: Any, write: Any) -> None:
    client, model, text = asked
    write(model, text)

    async def run() -> Any:
        async with (
            openai.AsyncOpenAI(base_url=client.base_url, api_key="-") as other,
            other.chat.completions.stream(
                model="caller", messages=QUESTION, tools=TOOLS, max_tokens=150
            ) as stream,
        ):
            return await stream.get_final_completion()

    message = asyncio.run(run()).choices[0].message
    assert [call.function.arguments for call in message.tool_calls] == [ARGUMENTS, "{}"]


NAMED = {"type": "function", "function": {"name": "other"}}
BAD = [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": 7}}}}]
CALLED = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f"}}]}
ODD = {"id": "1", "function": {"name": "f", "arguments": "["}}
REFUSED: list[tuple[dict[str, Any], str, str | None]] = [
    ({"tool_choice": NAMED}, "expected one of weather, now, got 'other'", "tool_choice"),
    ({"tool_choice": "any"}, "tool_choice", None),
    ({"tools": [], "tool_choice": "required"}, "expected tools to choose from", "tool_choice"),
    ({"tools": TOOLS * 2}, "expected names of their own", "tools"),
    ({"tools": BAD}, "expected a schema that can be kept to", "tools"),
    ({"tools": [{"type": "web_search"}]}, "tools.0.type", "tools.0.type"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "expected a name", "tools.0"),
    ({"messages": [*QUESTION, CALLED]}, "arguments", "messages.1.tool_calls.0.function.arguments"),
    (
        {"messages": [*QUESTION, {"role": "assistant", "tool_calls": [ODD]}]},
        "messages.1: expected the arguments of 'f'",
        None,
    ),
]


@pytest.mark.parametrize(("changes", "message", "param"), REFUSED)
def test_tools_that_make_no_sense_are_refused(
    asked: Any, changes: dict[str, Any], message: str, param: str | None
) -> None:
    client, _, _ = asked
    with pytest.raises(openai.BadRequestError, match=message) as caught:
        chat(client, **changes)
    assert param is None or caught.value.param == param


def test_a_template_of_another_format_is_refused(
    tmp_path_factory: pytest.TempPathFactory, post: Any, serving: Any, tiny: Any
) -> None:
    model = tiny(tmp_path_factory.mktemp("other") / "tiny", template="{{ tools }}")
    body = {"model": "tiny", "messages": QUESTION, "tools": TOOLS}
    with serving(Served("tiny", model)) as address:
        status, answer = post(address, "/v1/chat/completions", body)
    assert (status, "a format that is not known here" in answer["error"]["message"]) == (400, True)
