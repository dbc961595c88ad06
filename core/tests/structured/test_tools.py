"""Python functions as tools, and conversations with tools as templates write them."""

from __future__ import annotations

import json
from typing import Any, Literal

import numpy as np
import pytest
from vocabulary_samples import TEMPLATE, byte_level

from lmkernel.errors import InputError, MissingDependencyError
from lmkernel.structured import (
    Grammar,
    GrammarMask,
    GrammarTokenizer,
    Tool,
    json_grammar,
    render_with_tools,
    tool_of,
)
from lmkernel.tokenizers import Tokenizer

KNOWS = (
    "{% if tools %}{{ tools | tojson }}\n<tool_call>\n{% endif %}{% for m in messages %}"
    "{{ m.role }}:{{ m.content }}{% for c in m.tool_calls or [] %}"
    "{{ c.function.arguments.city }}{% endfor %};{% endfor %}"
)
CALL = {
    "id": "1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "B"}'},
}
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "rain?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "no", "tool_call_id": "1"},
]


def weather(
    city: str, days: int = 1, unit: Literal["c", "f"] = "c", more: list[float] | None = None
) -> object:
    """What the weather will be."""
    return {"city": city, "days": days, "unit": unit, "more": more}


def tokenizer(template: str) -> Tokenizer:
    special = {"eos_token": "<|im_end|>", "bos_token": "<|endoftext|>"}
    return Tokenizer(byte_level(), special, templates={"default": template})


def test_a_function_is_a_tool() -> None:
    made = tool_of(weather)
    assert made.document() == {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "What the weather will be.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "days": {"type": "integer"},
                    "unit": {"enum": ["c", "f"]},
                    "more": {
                        "anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "null"}]
                    },
                },
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
    assert json.loads(made.call('{"city": "B", "days": 2}'))["days"] == 2
    assert Tool("f", function=lambda: "plain").call("{}") == "plain"


def starred(*cities: str) -> None: ...
def bare(city) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001 - what is refused
def strange(city: complex) -> None: ...
def unknown(city: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821 - what is refused


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (starred, "cities: expected one that can be given by its name"),
        (bare, "city: expected an annotation"),
        (strange, "city: expected str, int"),
        (unknown, "annotations cannot be read"),
        (lambda: 1, "expected a name of letters"),
    ],
)
def test_a_function_that_json_cannot_call_is_refused(function: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tool_of(function)


def test_what_is_no_tool_is_refused() -> None:
    with pytest.raises(InputError, match="parameters of type object, got 'array'"):
        Tool("f", {"type": "array"})
    for arguments, message in (("{", "as JSON"), ("[]", "expected an object")):
        with pytest.raises(InputError, match=message):
            tool_of(weather).call(arguments)
    with pytest.raises(InputError, match="no function here"):
        Tool("f").call("{}")


def test_a_template_writes_the_tools_and_gets_arguments_as_objects() -> None:
    text = render_with_tools(tokenizer(KNOWS), MESSAGES, [Tool("weather")])
    assert '"name": "weather"' in text
    assert "assistant:B;tool:no;" in text
    assert "<tool_call>" not in render_with_tools(tokenizer(KNOWS), MESSAGES, [])


def test_a_model_whose_template_knows_no_tools_is_told_of_them() -> None:
    system = {"role": "system", "content": "Be brief."}
    text = render_with_tools(tokenizer(TEMPLATE), [system, *MESSAGES], [tool_of(weather)])
    begin, user, assistant, tool, _ = text.split("<|im_start|>")[1:]
    assert begin.startswith("system\nBe brief.\n\nThese functions may be called:\n")
    assert '"What the weather will be."' in begin
    assert user.startswith("user\nrain?")
    assert '<tool_call>\n{"name": "weather", "arguments": {"city": "B"}}\n</tool_call>' in assistant
    assert tool.startswith("user\n<tool_response>\nno\n</tool_response>")
    without = render_with_tools(tokenizer(TEMPLATE), MESSAGES[:1], [])
    assert without == tokenizer(TEMPLATE).chat(MESSAGES[:1])


@pytest.mark.parametrize("arguments", ["{", "[1]", "3", [10**5000]])
def test_arguments_that_are_no_object_are_refused(arguments: object) -> None:
    call = {"function": {"name": "weather", "arguments": arguments}}
    with pytest.raises(InputError, match="expected the arguments of 'weather'"):
        render_with_tools(tokenizer(KNOWS), [{"role": "assistant", "tool_calls": [call]}], [])


def test_a_schema_that_is_no_json_is_refused() -> None:
    for schema in ({"const": {1}}, {"const": float("nan")}):
        with pytest.raises(InputError, match="expected a schema of JSON"):
            json_grammar(schema)
    own = tokenizer(TEMPLATE)
    with pytest.raises(InputError, match="a schema that can be kept to"):
        Grammar(GrammarTokenizer(own, own.vocab_size), json_grammar({"type": "cat"}))


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "llguidance", None)
    with pytest.raises(MissingDependencyError, match=r"lmkernel\[structured\]"):
        GrammarTokenizer(tokenizer(TEMPLATE), 300)


DEEP: dict[str, Any] = {"type": "object"}
for _ in range(400):
    DEEP = {"type": "object", "properties": {"a": DEEP}}
HARD = {
    "deep": DEEP,
    "refers to itself": {"$ref": "#"},
    "impossible": {"allOf": [{"type": "string"}, {"type": "integer"}]},
    "not known": {"type": "array", "uniqueItems": True},
    "looks ahead": {"type": "string", "pattern": "^(?=a)b"},
    "many alternatives": {
        "anyOf": [
            {"type": "object", "properties": {f"k{i}": {}}, "required": [f"k{i}"]}
            for i in range(2500)
        ]
    },
}


@pytest.mark.parametrize("kind", HARD)
def test_a_schema_that_is_too_hard_is_refused_before_a_token_is_asked_for(kind: str) -> None:
    own = tokenizer(TEMPLATE)
    with pytest.raises(InputError, match="a schema that can be kept to"):
        Grammar(GrammarTokenizer(own, own.vocab_size), json_grammar(HARD[kind]))


def test_the_work_of_one_mask_is_bounded() -> None:
    """A pattern of a few characters, whose automaton no machine holds, ends its own answer."""
    own = tokenizer(TEMPLATE)
    pattern = {"type": "string", "pattern": "^(a{1000}){1000}$"}
    mask = Grammar(GrammarTokenizer(own, own.vocab_size), json_grammar(pattern)).mask()
    quote = own.encode('"', special_tokens=False)
    with pytest.raises(InputError, match="the grammar failed"):
        mask(np.zeros(own.vocab_size), quote)


def test_a_panic_of_the_library_is_an_error() -> None:
    class PanicException(BaseException): ...

    class Matcher:
        def compute_bitmask(self) -> bytes:
            raise PanicException("index out of bounds")

    with pytest.raises(InputError, match="the grammar failed: index out of bounds"):
        GrammarMask(Matcher())(np.zeros(9), [])


@pytest.mark.parametrize("own", [{"whitespace_pattern": ".*"}, {"item_separator": "x"}, 5])
def test_a_schema_says_nothing_of_what_stands_between_its_values(own: object) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert json_grammar({"x-guidance": own, **schema}).count("x-guidance") == 1
    for key in ("whitespace_pattern", '"x"', ": 5"):
        assert key not in json_grammar({"x-guidance": own, **schema})
