"""Calls: each format's grammar takes what its models write, and its reader reads it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from vocabulary_samples import TEMPLATE, byte_level

from lmkernel.errors import InputError
from lmkernel.structured import (
    CallReader,
    Grammar,
    GrammarTokenizer,
    Tool,
    call_format,
    call_grammar,
)
from lmkernel.structured.formats import HERMES, LLAMA, MISTRAL, MISTRAL_ARGS
from lmkernel.tokenizers import Tokenizer

if TYPE_CHECKING:
    from lmkernel.structured import CallFormat

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [Tool("weather", CITY), Tool("now")]
ARGUMENTS = '{"city": "A \\"b\\" } 学", "days": 3}'
HERMES_CALL = f'<tool_call>\n{{"name": "weather", "arguments": {ARGUMENTS}}}\n</tool_call>'
HERMES_NOW = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
LLAMA_CALL = f'{{"name": "weather", "parameters": {ARGUMENTS}}}'
LLAMA_NOW = '{"name": "now", "parameters": {}}'
LISTED = f'{{"name": "weather", "arguments": {ARGUMENTS}}}'
LISTED_NOW = '{"name": "now", "arguments": {}}'
BOTH = {
    "hermes": (HERMES, f"{HERMES_CALL}\n{HERMES_NOW}"),
    "llama": (LLAMA, f"{LLAMA_CALL}; {LLAMA_NOW}"),
    "mistral": (MISTRAL, f"[TOOL_CALLS][{LISTED}, {LISTED_NOW}]"),
    "mistral with args": (
        MISTRAL_ARGS,
        f"[TOOL_CALLS]weather[ARGS]{ARGUMENTS}[TOOL_CALLS]now[ARGS]{{}}",
    ),
}


@pytest.fixture(scope="module", params=["plain", "added", "special"])
def tokens(request: pytest.FixtureRequest) -> GrammarTokenizer:
    """Markers are texts, tokens of their own, or special tokens, as in one model or another."""
    own = byte_level()
    markers = ["<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]"]
    own.add_tokens(["<think>"])
    if request.param == "added":
        own.add_tokens(markers)
    if request.param == "special":
        own.add_special_tokens(markers)
    special = {"eos_token": "<|im_end|>", "bos_token": "<|endoftext|>"}
    made = Tokenizer(own, special, templates={"default": TEMPLATE})
    return GrammarTokenizer(made, made.vocab_size)


def first_refused(tokens: GrammarTokenizer, source: str, text: str) -> str | None:
    """The first token that a grammar refuses of a text and its end; None if it takes all."""
    mask, tokenizer = Grammar(tokens, source).mask(), tokens.tokenizer
    ids = [*tokenizer.encode(text, special_tokens=False), tokenizer.eos_ids[0]]
    for at, token in enumerate(ids):
        if mask(np.zeros(tokenizer.vocab_size), ids[:at])[token] == -np.inf:
            return tokenizer.decode([token], skip_special=False)
    return None


def parts_of(form: CallFormat, text: str, size: int) -> tuple[str, list[tuple[str, str]]]:
    """The answer's own text and its calls, where so many characters come at a time."""
    reader, own, calls = CallReader(form), "", []
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    for part in [*(p for piece in pieces for p in reader.push(piece)), *reader.finish()]:
        if part.call < 0:
            own += part.text
            continue
        if part.name:
            calls.append((part.name, ""))
        assert part.call == len(calls) - 1
        calls[part.call] = calls[part.call][0], calls[part.call][1] + part.text
    return own, calls


@pytest.mark.parametrize("form", BOTH)
def test_what_a_model_writes_is_in_the_grammar(tokens: GrammarTokenizer, form: str) -> None:
    own, text = BOTH[form]
    auto = call_grammar(own, TOOLS, tokens.tokenizer)
    assert first_refused(tokens, auto, text) is None
    assert first_refused(tokens, auto, 'It rains. {"a": 1} <b>[TOOL] <think>') is None
    assert first_refused(tokens, auto, text.replace('"days": 3', '"days": "3"')) is not None
    assert first_refused(tokens, auto, text.replace("weather", "whether")) is not None
    assert first_refused(tokens, auto, text + "and") is not None
    if own.marker:
        assert first_refused(tokens, auto, "Let me see.\n" + text) is None


@pytest.mark.parametrize("form", BOTH)
def test_a_call_can_be_required_and_be_the_only_one(tokens: GrammarTokenizer, form: str) -> None:
    own, text = BOTH[form]
    required = call_grammar(own, TOOLS, tokens.tokenizer, required=True)
    assert first_refused(tokens, required, text) is None
    assert first_refused(tokens, required, "It rains.") is not None
    assert first_refused(tokens, required, "") is not None
    assert (
        first_refused(tokens, call_grammar(own, TOOLS, tokens.tokenizer, parallel=False), text)
        is not None
    )


@pytest.mark.parametrize("form", BOTH)
def test_an_answer_is_a_call_or_of_a_schema(tokens: GrammarTokenizer, form: str) -> None:
    own, text = BOTH[form]
    either = call_grammar(own, TOOLS, tokens.tokenizer, answer={"type": "array"})
    assert first_refused(tokens, either, text) is None
    assert first_refused(tokens, either, "[1, 2]") is None
    assert first_refused(tokens, either, "It rains.") is not None


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_calls_are_read_as_they_come(form: str, size: int) -> None:
    own, text = BOTH[form]
    calls = [("weather", ARGUMENTS), ("now", "{}")]
    assert parts_of(own, text, size) == ("", calls)
    assert json.loads(calls[0][1])["city"] == 'A "b" } 学'
    said = "Let me < see. "
    if own.marker:
        assert parts_of(own, said + "\n" + text, size) == (said.rstrip(), calls)
    for plain in (said, '{"a": 1}', '{"nam', "[TOOL", " <tool_", ""):
        assert parts_of(own, plain, size) == (plain, [])
    assert parts_of(own, text[:-3].rpartition("weather")[0], size)[1] == []


@pytest.mark.parametrize("form", BOTH)
def test_a_call_that_was_cut_has_what_there_is_of_it(form: str) -> None:
    own, text = BOTH[form]
    cut = text[: text.index('"days"')]
    assert parts_of(own, cut, 5) == ("", [("weather", ARGUMENTS[: ARGUMENTS.index('"days"')])])


@pytest.mark.parametrize(
    ("template", "form"),
    [
        ("{{ messages }}", HERMES),
        ("{% if tools %}<tool_call>\n{% endif %}", HERMES),
        ("{% if tools %}[TOOL_CALLS][{% endif %}", MISTRAL),
        ("{% if tools %}[TOOL_CALLS]{{ name }}[ARGS]{% endif %}", MISTRAL_ARGS),
        ('{% if tools %}{"name": name, "parameters": dictionary}{% endif %}', LLAMA),
    ],
)
def test_a_template_says_its_format(template: str, form: CallFormat) -> None:
    assert call_format(template) == form
    assert call_format(template.replace("S][", "S] [")).opening in {form.opening, " ["}


@pytest.mark.parametrize(
    "template",
    ["{{ tools }}", "{{ tools }}<tool_call><function=", "{{ tools }}[TOOL_CALLS][CALL_ID][ARGS]"],
)
def test_another_format_is_refused(template: str) -> None:
    with pytest.raises(InputError, match="a format that is not known here"):
        call_format(template)


@pytest.mark.parametrize(
    ("more", "allowed"),
    [({}, False), ({"additionalProperties": True}, True), ({"allOf": []}, True)],
)
def test_arguments_without_a_name_are_written_where_the_schema_says_so(
    more: dict[str, Any], allowed: bool
) -> None:
    own = Tokenizer(byte_level(), {"eos_token": "<|im_end|>"})
    tool = Tool("f", {"properties": {"a": {"type": "integer"}}, **more})
    source = call_grammar(HERMES, [tool], own)
    text = '<tool_call>\n{"name": "f", "arguments": {"a": 1, "b": 2}}\n</tool_call>'
    found = first_refused(GrammarTokenizer(own, own.vocab_size), source, text)
    assert (found is None) == allowed


BAD: list[tuple[Any, str]] = [
    ({"type": "object", "properties": {"a": {"type": 7}}}, "a schema that can be kept to"),
    ({"type": "object", "properties": {"a": {"$ref": "http://x"}}}, "a schema that can be kept to"),
]


@pytest.mark.parametrize(("schema", "message"), BAD)
def test_a_schema_that_is_none_is_refused(schema: Any, message: str) -> None:
    own = Tokenizer(byte_level(), {"eos_token": "<|im_end|>"})
    source = call_grammar(HERMES, [Tool("f", schema)], own)
    with pytest.raises(InputError, match=message):
        Grammar(GrammarTokenizer(own, own.vocab_size), source)
