"""Of a message, nothing is dropped without a word and nothing is learned as Python writes it."""

from __future__ import annotations

from typing import Any

import pytest
from letters import letters
from vocabulary_samples import byte_level

from lmkernel.errors import InputError
from lmkernel.structured import render_with_tools
from lmkernel.tokenizers import Tokenizer
from lmkernel.training.data.chat import chat_examples
from lmkernel.training.data.rows import Row, UnusedColumns

BARE = "{% for m in messages %}{{ m.content }}<end>{% endfor %}"
PARTED = (
    "{% for m in messages %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}"
    "{% endif %}{% endfor %}<end>{% endfor %}"
)
JOINING = "{% for m in messages %}{{ m.role[0] + m.content }}<end>{% endfor %}"
CALLING = "{% for m in messages %}{{ m.content or m.tool_calls[0].name }}<end>{% endfor %}"
ASKED, SAID = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


def learn(template: str, *messages: Any, **values: Any) -> tuple[str, str]:
    """The text of a conversation, and what is said not to be used."""
    tokenizer, unused = letters(template), UnusedColumns()
    row = Row({"messages": list(messages), **values}, "f: line 1")
    ((example, *_),) = chat_examples([row], tokenizer, context=512, unused=unused)
    return tokenizer.decode(example.ids, skip_special=False), str(unused)


def parts(*texts: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in texts]


@pytest.mark.parametrize("template", [BARE, PARTED])
@pytest.mark.parametrize("content", ["ab", parts("ab"), parts("a", "b")])
def test_a_text_and_its_parts_are_learned_alike(template: str, content: Any) -> None:
    assert learn(template, ASKED, {**SAID, "content": content}) == ("q<end>ab<end>", "")


def test_parts_are_joined_for_a_template_that_fails_on_them() -> None:
    assert learn(JOINING, ASKED, {**SAID, "content": parts("b")})[0] == "uq<end>ab<end>"


@pytest.mark.parametrize("content", [5, True, 0.5, {"a": 1}, [], ["a"], [{"text": "a"}]])
@pytest.mark.parametrize("number", [0, 1])
def test_content_that_is_no_text_and_no_parts_is_refused(content: Any, number: int) -> None:
    messages = [dict(ASKED), dict(SAID)]
    messages[number]["content"] = content
    wanted = rf"^f: line 1: message {number}: expected content that is a text, or parts"
    with pytest.raises(InputError, match=wanted):
        learn(BARE, *messages)


@pytest.mark.parametrize(
    "message", [{"role": "user"}, {"role": "user", "contnet": "q"}, {**ASKED, "content": None}]
)
def test_a_message_without_content_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^f: line 1: message 0: expected content, got a message"):
        learn(BARE, message, SAID)


@pytest.mark.parametrize("template", [BARE, PARTED])
def test_a_part_that_is_no_text_is_refused(template: str) -> None:
    shown = {**ASKED, "content": [{"type": "image"}, *parts("q")]}
    with pytest.raises(InputError, match=r"^f: line 1: message 0: .* got one of the type 'image'"):
        learn(template, shown, SAID)


def test_a_call_is_learned_if_the_template_writes_calls() -> None:
    call = {"role": "assistant", "tool_calls": [{"name": "f"}]}
    assert learn(CALLING, ASKED, call) == ("q<end>f<end>", "")
    with pytest.raises(
        InputError, match=r"^f: line 1: message 1: expected content, got tool_calls"
    ):
        learn(BARE, ASKED, call)


WRITING = (
    "{{ tools or '' }}{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}"
    "{% set f = c.function or c %}{{ f.arguments | tojson }}{% endfor %}<|im_end|>{% endfor %}"
)


def calling(arguments: Any, *, nested: bool) -> list[dict[str, Any]]:
    function = {"name": "f", "arguments": arguments}
    return [ASKED, {**SAID, "tool_calls": [{"function": function} if nested else function]}]


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("given", [{"x": 1}, '{"x": 1}'], ids=["object", "text"])
def test_the_arguments_of_calls_are_learned_as_they_are_asked(given: Any, nested: bool) -> None:
    asked = Tokenizer(byte_level(), {"eos_token": "<|im_end|>"}, templates={"default": WRITING})
    talk = calling(given, nested=nested)
    (made,) = chat_examples([Row({"messages": talk}, "f")], asked, context=512)
    text = asked.decode(made[-1].ids, skip_special=False)
    assert text == 'q<|im_end|>a{"x": 1}<|im_end|>'
    assert text == render_with_tools(asked, talk, [])


def test_arguments_that_are_no_object_are_named() -> None:
    wanted = r"^f: line 1: messages\.1: expected the arguments of 'f' as an object of JSON, got 'x'"
    with pytest.raises(InputError, match=wanted):
        learn(CALLING, *calling("x", nested=False))


def test_what_the_template_does_not_write_is_named() -> None:
    more = {"tool_calls": [{"name": "f"}], "reasoning_content": "r", "weight": 1}
    values = {"tools": [{"name": "f"}], "id": 1}
    named = "tools, id, tool_calls of messages, reasoning_content of messages"
    assert learn(BARE, ASKED, {**SAID, **more}, **values)[1] == named
    knows = "{{ '' if tools }}" + CALLING
    assert learn(knows, ASKED, {**SAID, **more}, **values)[1] == "id, reasoning_content of messages"


@pytest.mark.parametrize("given", ["reasoning_content", "thinking", "reasoning"])
def test_what_was_thought_is_learned_under_each_of_its_names(given: str) -> None:
    thinking = (
        "{% for m in messages %}{{ m.reasoning_content or '' }}{{ m.content }}<end>{% endfor %}"
    )
    assert learn(thinking, ASKED, {**SAID, given: "r"}) == ("q<end>ra<end>", "")
    assert learn(BARE, ASKED, {**SAID, given: "r"})[1] == f"{given} of messages"
