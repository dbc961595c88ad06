"""Rows in the forms of public data sets are conversations."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lmkernel.errors import InputError
from lmkernel.training.data.conversations import Conversation, read_conversation
from lmkernel.training.data.rows import Row, UnusedColumns

ASKED, SAID = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
SHARED = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]


def read(values: dict[str, Any], **columns: str) -> Conversation:
    return read_conversation(Row(values, "f: line 1"), columns)


@pytest.mark.parametrize(
    "values",
    [
        {"messages": [ASKED, SAID]},
        {"messages": json.dumps([ASKED, SAID])},
        {"conversations": SHARED},
        {"conversations": [ASKED, SAID]},
        {"messages": SHARED},
        {"prompt": "a", "completion": "b"},
        {"prompt": "a", "response": "b"},
        {"prompt": [ASKED], "completion": [SAID]},
        {"instruction": "a", "input": "", "output": "b"},
        {"instruction": "a", "output": "b"},
        {"instruction": "a", "context": "", "response": "b"},
        {"query": "a", "response": "b"},
        {"problem": "a", "solution": "b"},
        {"input": "a", "output": "b"},
        {"question": "a", "answer": "b"},
        {"messages": None, "question": "a", "answer": "b"},
        {"system": "", "question": "a", "answer": "b"},
    ],
)
def test_public_forms_are_one_conversation(values: dict[str, Any]) -> None:
    said = read(values)
    assert said.messages == [ASKED, SAID]
    assert said.columns == {name for name, value in values.items() if value is not None}


def test_an_input_ends_the_prompt_and_a_system_text_comes_first() -> None:
    values = {"instruction": "add", "input": "1, 2", "output": "3", "system": "be"}
    assert [m["content"] for m in read(values).messages] == ["be", "add\n\n1, 2", "3"]
    assert read(values).columns == set(values)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ({"prompt": "a", "completion": "b"}, ("a", "b")),
        ({"prompt": "a", "response": "b"}, ("a", "b")),
        ({"prompt": "a", "completion": "b", "input": "c"}, None),
        ({"question": "a", "answer": "b"}, None),
        ({"messages": [ASKED, SAID]}, None),
        ({"prompt": "a", "completion": "b", "tools": [{"name": "f"}]}, None),
        ({"prompt": "a", "completion": "b", "tools": []}, ("a", "b")),
    ],
)
def test_only_a_prompt_is_a_text_to_go_on_from(
    values: dict[str, Any], texts: tuple[str, str] | None
) -> None:
    assert read(values).texts == texts


def test_columns_are_named() -> None:
    values = {"frage": "a", "antwort": "b", "messages": [SAID], "question": "c"}
    said = read(values, prompt="frage", completion="antwort")
    assert (said.messages, said.texts) == ([ASKED, SAID], ("a", "b"))
    assert said.columns == {"frage", "antwort"}
    assert read({"q": "a", "answer": "b"}, prompt="q").messages == [ASKED, SAID]
    assert read({"chat": [ASKED]}, messages="chat").messages == [ASKED]


def test_keys_that_hold_nothing_are_left_out_at_every_depth() -> None:
    call = {"function": {"name": "f", "arguments": {"x": None, "y": 1}}}
    item = {"role": "assistant", "content": None, "name": None, "tool_calls": [call]}
    (got,) = read({"messages": [item]}).messages
    assert got["tool_calls"] == [{"function": {"name": "f", "arguments": {"y": 1}}}]
    assert got["content"] is None
    assert "name" not in got


@pytest.mark.parametrize(
    ("values", "columns", "message"),
    [
        ({"text": "x"}, {}, "expected the column messages .* got the columns text; columns"),
        ({"q": "x"}, {"prompt": "q"}, ".*got the columns q, where prompt is q;"),
        ({"q": "x", "answer": "y"}, {"prompt": "z"}, "expected a column 'z', got the columns q"),
        ({"q": "x"}, {"messages": "chat"}, "expected a column 'chat', got the columns q"),
        ({"messages": "hello"}, {}, "expected messages with role and content in the column"),
        ({"conversations": [{"from": "me", "value": "x"}]}, {}, "expected from to be one of human"),
        ({"conversations": [{"from": 1, "value": "x"}]}, {}, "expected from to be one of human"),
        ({"instruction": "x", "output": 1}, {}, "expected messages with role and content in the"),
        ({"question": "x", "answer": "y", "system": 1}, {}, "expected text in the column 'system'"),
    ],
)
def test_what_is_not_understood_is_named(
    values: dict[str, Any], columns: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=f"^f: line 1: {message}"):
        read(values, **columns)


def test_left_over_columns_are_noted_once() -> None:
    unused = UnusedColumns()
    for values in ({"a": 1, "b": 2, "c": None}, {"b": 1, "d": 2}):
        unused.note(Row(values, ""), {"a"})
    assert str(unused) == "b, d"


@pytest.mark.parametrize(
    "asked",
    [
        {"role": "user", "value": "a"},
        {"role": "user", "content": None, "value": "a"},
        {"from": "human", "content": "a"},
        {"from": "human", "content": None, "value": "a"},
    ],
)
def test_a_value_is_the_content_of_a_message_that_has_none(asked: dict[str, Any]) -> None:
    assert read({"conversations": [asked, SAID]}).messages == [ASKED, SAID]


@pytest.mark.parametrize("weight", [0, 1, 0.0, 1.0, False, True])
def test_a_weight_of_none_or_of_all_is_kept(weight: float) -> None:
    (got,) = read({"messages": [{**SAID, "weight": weight}]}).messages
    assert got["weight"] == weight


@pytest.mark.parametrize("weight", ["0", "1", 0.5, -1, 2, [0], float("nan")])
def test_another_weight_is_refused(weight: Any) -> None:
    named = r"^f: line 1: expected the weight of a message in the column 'messages' to be 0 or 1"
    with pytest.raises(InputError, match=named):
        read({"messages": [{**SAID, "weight": weight}]})
