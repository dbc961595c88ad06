"""``langchain-openai`` drives the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import langchain_openai
import pydantic
import pytest

if TYPE_CHECKING:
    from langchain_openai import ChatOpenAI


class Weather(pydantic.BaseModel):
    """What the weather will be."""

    rainy: bool


@pytest.fixture
def chat(caller: Any) -> ChatOpenAI:
    client, _ = caller
    made: ChatOpenAI = langchain_openai.ChatOpenAI(
        base_url=str(client.base_url), api_key="-", model="caller", temperature=0, max_tokens=60
    )
    return made


def test_a_message_is_answered_whole_and_in_pieces(chat: ChatOpenAI, caller: Any) -> None:
    _, model = caller
    expected = model.chat("the cat?", max_new_tokens=60).text
    assert chat.invoke("the cat?").content == expected
    assert "".join(str(piece.content) for piece in chat.stream("the cat?")) == expected


def test_a_tool_is_called(chat: ChatOpenAI) -> None:
    roomy = chat.model_copy(update={"max_tokens": 300})
    bound = roomy.bind_tools([Weather], tool_choice="required", parallel_tool_calls=False)
    [call] = bound.invoke("rain?").tool_calls  # type: ignore[attr-defined]  # of a message of the model
    assert call["name"] == "Weather"
    assert isinstance(call["args"]["rainy"], bool)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_class_is_answered(chat: ChatOpenAI, method: Any) -> None:
    roomy = chat.model_copy(update={"max_tokens": 300})
    answer = roomy.with_structured_output(Weather, method=method).invoke("rain?")
    assert isinstance(answer, Weather)


def test_responses_are_answered(chat: ChatOpenAI, caller: Any) -> None:
    _, model = caller
    other = chat.model_copy(update={"use_responses_api": True})
    [block] = other.invoke("the cat?").content
    assert block["text"] == model.chat("the cat?", max_new_tokens=60).text  # type: ignore[index]  # a block of text


def test_texts_have_vectors(caller: Any) -> None:
    client, model = caller
    made = langchain_openai.OpenAIEmbeddings(
        base_url=str(client.base_url), api_key="-", model="caller", check_embedding_ctx_length=False
    )
    assert made.embed_query("the cat") == pytest.approx(model.embed(["the cat"])[0], abs=1e-5)
