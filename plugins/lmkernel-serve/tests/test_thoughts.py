"""What a model thinks stands beside its answer, in chats and in responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest
from lmkernel_serve.served import Served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmkernel.language_model import LanguageModel

    Write = Callable[[LanguageModel, str], None]

QUESTION: list[Any] = [{"role": "user", "content": "2 + 2?"}]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
ANSWER = "<think>\ntwo and two\n</think>\n\n4"
TOOL: Any = {"type": "function", "function": {"name": "now", "parameters": {}}}
CALL = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'


@pytest.fixture(scope="module")
def thinker(
    tmp_path_factory: pytest.TempPathFactory, serving: Any, tiny: Any
) -> Iterator[tuple[openai.OpenAI, LanguageModel]]:
    """A client of a model that thinks, and that model."""
    own = tiny(
        tmp_path_factory.mktemp("thinker") / "thinker", TEMPLATE, max_position_embeddings=512
    )
    with (
        serving(Served("thinker", own)) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="-", max_retries=0) as client,
    ):
        yield client, own


def chat(client: openai.OpenAI, **changes: Any) -> Any:
    return client.chat.completions.create(model="thinker", messages=QUESTION, **changes)


def test_a_thought_stands_beside_the_answer(thinker: Any, write: Write) -> None:
    client, model = thinker
    write(model, ANSWER)
    answer = chat(client)
    message = answer.choices[0].message
    assert (message.content, message.reasoning_content) == ("4", "two and two")
    after = len(model.tokenizer.encode("4", special_tokens=False)) + 1  # and the end
    details = answer.usage.completion_tokens_details
    assert details.reasoning_tokens == answer.usage.completion_tokens - after


def test_a_stream_tells_them_apart(thinker: Any, write: Write) -> None:
    client, model = thinker
    write(model, ANSWER)
    deltas = [chunk.choices[0].delta for chunk in chat(client, stream=True, logprobs=True)]
    thoughts = [getattr(delta, "reasoning_content", None) for delta in deltas]
    assert "".join(one or "" for one in thoughts) == "two and two"
    assert "".join(delta.content or "" for delta in deltas) == "4"
    assert not any(one and delta.content for one, delta in zip(thoughts, deltas, strict=True))


def test_an_answer_without_a_thought_has_none(thinker: Any, write: Write) -> None:
    client, model = thinker
    write(model, "4 <think>")
    message = chat(client).choices[0].message
    assert (message.content, message.reasoning_content) == ("4 <think>", None)


def test_a_call_may_follow_a_thought(thinker: Any, write: Write) -> None:
    client, model = thinker
    write(model, f"<think>which time?</think>\n{CALL}")
    choice = chat(client, tools=[TOOL]).choices[0]
    assert choice.message.reasoning_content == "which time?"
    assert [call.function.name for call in choice.message.tool_calls] == ["now"]
    assert choice.finish_reason == "tool_calls"


def test_a_schema_leaves_no_room_for_a_thought(thinker: Any, write: Write) -> None:
    client, model = thinker
    write(model, "{}")
    message = chat(client, response_format={"type": "json_object"}).choices[0].message
    assert message.content == "{}"
    assert not hasattr(message, "reasoning_content")


def test_a_response_has_the_thought_as_an_item(thinker: Any, write: Write) -> None:
    client, model = thinker
    write(model, ANSWER)
    events = list(client.responses.create(model="thinker", input="2 + 2?", stream=True))
    told = [event for event in events if event.type == "response.reasoning_text.delta"]
    assert "".join(event.delta for event in told) == "two and two"  # type: ignore[union-attr]  # of this type
    response = events[-1].response  # type: ignore[union-attr]  # the last one has it
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert response.output[0].content[0].text == "two and two"  # type: ignore[index, union-attr]  # of a thought
    assert response.output_text == "4"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert response.usage is not None
    assert response.usage.output_tokens_details.reasoning_tokens > 0


@pytest.mark.parametrize("kept", [True, False])
def test_a_thought_is_told_again(thinker: Any, write: Write, kept: bool) -> None:
    """Whether the server keeps it or the client sends its items again, the prompt is the same."""
    client, model = thinker
    write(model, ANSWER)
    first = client.responses.create(model="thinker", input="2 + 2?")
    items: Any = [{"role": "user", "content": "2 + 2?"}, *(i.to_dict() for i in first.output)]
    more: dict[str, Any] = {"previous_response_id": first.id} if kept else {}
    asked = [] if kept else items
    second = client.responses.create(
        model="thinker", input=[*asked, {"role": "user", "content": "why?"}], **more
    )
    messages = [
        QUESTION[0],
        {"role": "assistant", "content": "4", "reasoning_content": "two and two"},
        {"role": "user", "content": "why?"},
    ]
    text = model.tokenizer.chat(messages)
    assert second.usage is not None
    assert second.usage.input_tokens == len(model.tokenizer.encode(text, special_tokens=False))


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_a_chat_goes_on_after_a_thought_by_either_name(thinker: Any, name: str) -> None:
    """vLLM calls it `reasoning`, where others have `reasoning_content`."""
    client, model = thinker
    said = {"role": "assistant", "content": "4"}
    asked: list[Any] = [*QUESTION, {**said, name: "two and two"}, {"role": "user", "content": "?"}]
    answer = client.chat.completions.create(model="thinker", messages=asked, max_tokens=1)
    asked[1] = {**said, "reasoning_content": "two and two"}
    text = model.tokenizer.chat(asked)
    assert "<think>two and two</think>" in text
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == len(model.tokenizer.encode(text, special_tokens=False))
