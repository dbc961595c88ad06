"""Schemas that would take llguidance minutes, gigabytes or the process are refused, others not."""

from __future__ import annotations

from typing import Any

import pytest
from vocabulary_samples import byte_level

from lmkernel.structured import (
    Grammar,
    GrammarTokenizer,
    SchemaError,
    Tool,
    call_grammar,
    json_grammar,
)
from lmkernel.structured.formats import HERMES
from lmkernel.tokenizers import Tokenizer


def text(at: int) -> dict[str, Any]:
    return {"type": "string", "pattern": f".*a{{{at}}}.*"}


def record(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def optional(count: int) -> dict[str, Any]:
    return record(**{f"p{at}": {"type": "integer"} for at in range(count)})


def chain(count: int, *words: str) -> dict[str, Any]:
    """Definitions of which each has the one before it as so many properties."""
    named: dict[str, Any] = {"d0": {"type": "integer"}}
    for at in range(1, count):
        before = {"$ref": f"#/$defs/d{at - 1}", **dict.fromkeys(words[1:], 1)}
        named[f"d{at}"] = record(**dict.fromkeys(words[0], before))
    return {"$defs": named, "$ref": f"#/$defs/d{count - 1}"}


def doubled(times: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(times):
        schema = {"anyOf": [schema, schema]}
    return schema


ALL = range(15)
ANCHORED = {f"d{at}": {"$anchor": f"a{at}", **text(at)} for at in ALL}
BY_ADDRESS = {f"d{at}": {"$id": f"x{at}", **text(at)} for at in ALL}
IN_TURN = {f"d{at}": {"$ref": f"#/$defs/d{at - 1}", **text(at)} for at in range(1, 15)}
TOO_MUCH: dict[str, tuple[dict[str, Any], str]] = {
    "all of": ({"allOf": [text(at) for at in ALL]}, "at most 8 patterns and formats .* got 15"),
    "anchors": (
        {"$defs": ANCHORED, "allOf": [{"$ref": f"#a{at}"} for at in ALL]},
        "at most 8 patterns",
    ),
    "addresses": (
        {"$id": "http://h/", "$defs": BY_ADDRESS, "allOf": [{"$ref": f"x{at}"} for at in ALL]},
        "at most 8 patterns",
    ),
    "in turn": (
        {"$defs": {"d0": text(0), **IN_TURN}, "items": {"$ref": "#/$defs/d14"}},
        "at most 8 patterns|combined",
    ),
    "one property": ({"allOf": [record(a=text(at)) for at in ALL]}, "at most 8 patterns"),
    "other properties": (
        {"allOf": [record(a={}), *({"additionalProperties": text(at)} for at in ALL)]},
        "at most 8 patterns",
    ),
    "names and patterns of names": (
        {
            "allOf": [
                {**record(ab=text(at)), "patternProperties": {"^a": text(at + 20)}}
                for at in range(8)
            ]
        },
        "at most 8 patterns",
    ),
    "alternatives": (
        {"allOf": [{"anyOf": [text(at), text(at + 40)]} for at in range(12)]},
        "patterns|combined",
    ),
    "many strings": (
        {"allOf": [{"anyOf": [text(40 * k + at) for at in range(40)]} for k in range(3)]},
        "strings that fit several patterns|combined",
    ),
    "optional": (optional(5000), "properties: expected at most 2500 .* left out"),
    "optional, of many": ({"anyOf": [optional(1000) for _ in range(10)]}, "of several"),
    "expressions of names": (
        {"type": "object", "patternProperties": {f"^x{at}_.*b": {} for at in range(300)}},
        "patternProperties: expected at most 100",
    ),
    "doubled": (doubled(60), "at most 1048576 characters"),
    "copied": (chain(30, "ab", "minLength"), "combined"),
    "deep references": (chain(5000, "a"), "at most 12000 deep"),
}


@pytest.fixture(scope="module")
def tokens() -> GrammarTokenizer:
    own = Tokenizer(byte_level(), {"eos_token": "<|im_end|>"})
    return GrammarTokenizer(own, own.vocab_size)


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_what_would_take_long_is_refused_by_its_counts(tokens: GrammarTokenizer, kind: str) -> None:
    schema, message = TOO_MUCH[kind]
    with pytest.raises(SchemaError, match=message):
        Grammar(tokens, json_grammar(schema))
    tool = Tool("f", {"type": "object", "properties": {"a": schema}})
    if "$defs" not in schema:
        with pytest.raises(SchemaError, match=message):
            Grammar(tokens, call_grammar(HERMES, [tool], tokens.tokenizer))


ENOUGH: dict[str, dict[str, Any]] = {
    "own patterns": {"allOf": [record(**{f"x{at}": text(at)}) for at in ALL]},
    "alternatives": {"anyOf": [text(at) for at in ALL], "minLength": 2},
    "the same pattern": {"allOf": [text(3) for _ in ALL]},
    "optional": optional(1000),
    "required": {**optional(4000), "required": [f"p{at}" for at in range(4000)]},
    "shared": chain(30, "ab"),
    "a long chain": chain(1000, "a"),
    "inherited": chain(100, "a", "minLength"),
    "a tree": {"$defs": {"t": record(more={"items": {"$ref": "#/$defs/t"}})}, "$ref": "#/$defs/t"},
    "patterns": {"allOf": [{"type": "string", "pattern": p} for p in ("[a-z]", "[0-9]", "^.{8}")]},
}


@pytest.mark.parametrize("kind", ENOUGH)
def test_what_is_read_at_once_is_kept_to(tokens: GrammarTokenizer, kind: str) -> None:
    assert Grammar(tokens, json_grammar(ENOUGH[kind])).mask() is not None


def test_the_schemas_of_all_tools_count_together(tokens: GrammarTokenizer) -> None:
    tools = [Tool(f"f{at}", optional(1000)) for at in range(10)]
    with pytest.raises(SchemaError, match="of several the same sum"):
        Grammar(tokens, call_grammar(HERMES, tools, tokens.tokenizer))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "cat"}, "Invalid type: cat"),
        ({"$ref": "#"}, "no text fits it"),
        ({"type": "string", "pattern": "("}, "regex parse error: (: unclosed group"),
        ({"type": "string", "pattern": "^a$", "minLength": 3}, "no string fits its patterns"),
        ({"enum": [f"word{at}" for at in range(50_000)]}, "its words and patterns are too many"),
    ],
)
def test_a_refusal_says_nothing_that_no_one_wrote(
    tokens: GrammarTokenizer, schema: dict[str, Any], message: str
) -> None:
    with pytest.raises(SchemaError) as caught:
        Grammar(tokens, json_grammar(schema))
    said = str(caught.value)
    assert said.startswith(f"expected a schema that can be kept to: {message}")
    assert not any(one in said for one in ("\n", "x-guidance", "%", "NoExtension", "<", "2(8)"))
