"""Answers kept to a JSON schema: alone, in batches, by the command; and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from inspected import loaded
from small import HF_CONFIG
from vocabulary_samples import byte_level

from lmkernel.errors import InputError
from lmkernel.generation import GenerationOptions, Request, generate_tokens
from lmkernel.structured import Grammar, GrammarTokenizer, json_grammar
from lmkernel.tokenizers import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.language_model import LanguageModel

SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["cat", "mat"]}, "sizes": {"type": "array", "maxItems": 2}},
    "required": ["kind", "sizes"],
    "additionalProperties": False,
}
SCHEMA["properties"]["sizes"]["items"] = {"type": "integer", "minimum": 0, "maximum": 99}  # type: ignore[index]  # a schema's values are of many types


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    tokenizer = Tokenizer(byte_level(), {"eos_token": "<|im_end|>"})
    config = {**HF_CONFIG, "vocab_size": 340, "max_position_embeddings": 256, "eos_token_id": 0}
    return loaded(tmp_path_factory.mktemp("models") / "small", config, tokenizer, dtype="float32")


def check(text: str) -> None:
    made = json.loads(text)
    assert set(made) == {"kind", "sizes"}
    assert made["kind"] in {"cat", "mat"}
    assert all(0 <= size <= 99 for size in made["sizes"])


@pytest.mark.parametrize("seed", range(3))
def test_an_answer_is_kept_to_its_schema(model: LanguageModel, seed: int) -> None:
    drawn: Any = {"temperature": 3.0, "seed": seed, "json_schema": SCHEMA}
    answer = model.generate("the cat", **drawn)
    check(answer.text)
    assert answer.finish_reason == "stop"
    assert answer.log_probs == pytest.approx(
        model.log_probs([*model.token_ids("the cat"), *answer.tokens]).values[
            -len(answer.tokens) :
        ],
        abs=1e-4,
    )
    for one in model.generate_batch(["the cat", "on the mat, 12"], **drawn):
        check(one.text)
    assert model.generate_batch(["the cat"], **drawn)[0].text == answer.text


def test_rows_of_tokens_are_kept_to_it(model: LanguageModel) -> None:
    rows = list(model.generate_tokens([[3, 4], [5]], json_schema=SCHEMA, temperature=2.0))
    for row in zip(*rows, strict=True):
        tokens = [token for token in row if token is not None]
        check(model.tokenizer.decode(tokens))


def test_the_command_keeps_to_a_file(model: LanguageModel, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(SCHEMA))
    command = [sys.executable, "-m", "lmkernel.cli", "generate", str(model.files.path), "the cat"]
    done = subprocess.run([*command, "--json-schema", str(file)], capture_output=True, check=True)
    check(done.stdout.decode())
    file.write_text("[")
    done = subprocess.run([*command, "--json-schema", str(file)], capture_output=True, check=False)
    assert done.returncode == 1
    assert "schema.json" in done.stderr.decode()
    file.write_text('{"type": "cat"}')
    done = subprocess.run([*command, "--json-schema", str(file)], capture_output=True, check=False)
    assert done.returncode == 1
    said = done.stderr.decode().strip()
    assert said.endswith("schema.json: expected a schema that can be kept to: Invalid type: cat")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "multipleOf": 1_299_709},
        {"type": "number", "multipleOf": 1.299709},
        {"type": "object", "properties": {n: {"multipleOf": 50_021} for n in "abcde"}},
    ],
)
def test_multiples_of_very_many_are_refused(model: LanguageModel, schema: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="kept to: multipleOf: expected numbers that are together"):
        model.generate("the cat", json_schema=schema)


@pytest.mark.parametrize("multiple", [1000, 0.01, 1e-9, 10**6, 360])
def test_multiples_that_people_ask_for_are_kept_to(model: LanguageModel, multiple: float) -> None:
    schema = {"type": "number", "multipleOf": multiple}
    assert model.generate("the cat", json_schema=schema, max_new_tokens=3).tokens


@pytest.mark.parametrize("name", ["minimum", "exclusiveMaximum"])
@pytest.mark.parametrize("bound", [2**53 + 1, -(10**20), 1e300])
def test_bounds_that_would_be_other_numbers_are_refused(
    model: LanguageModel, name: str, bound: float
) -> None:
    schema = {"type": "array", "items": {"type": "integer", name: bound}}
    with pytest.raises(InputError, match=f"kept to: {name}: expected a number within ±2\\^53"):
        model.generate("the cat", json_schema=schema)


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 10**40])
def test_values_that_would_be_other_numbers_are_refused(model: LanguageModel, number: int) -> None:
    for schema in ({"const": {"a": [number]}}, {"anyOf": [{"enum": [1, [number]]}]}):
        with pytest.raises(InputError, match="expected whole numbers within ±2\\^53"):
            model.generate("the cat", json_schema=schema)


@pytest.mark.parametrize("name", ["const", "enum", "maximum", "default", "properties"])
def test_a_property_may_be_called_as_a_word_of_schemas_is(model: LanguageModel, name: str) -> None:
    """What no answer is kept to may be any number: a value that is usual, or an example."""
    more = {"default": 2**60, "examples": [{"const": 2**70}]}
    inner = {"type": "integer", "minimum": 1, "maximum": 3, **more}
    closed = {"required": [name], "additionalProperties": False}
    schema = {"type": "object", "properties": {name: inner}, **closed}
    for one in (schema, {"$defs": {name: schema}, "$ref": f"#/$defs/{name}"}):
        answer = model.generate("the cat", json_schema=one, max_new_tokens=60)
        assert [*json.loads(answer.text)] == [name]
    for value in ({"const": [2**60]}, {"enum": [2**60]}, {"maximum": 2**60}):
        wrong = {"properties": {name: {"items": value}}}
        with pytest.raises(InputError, match="within ±2\\^53"):
            model.generate("the cat", json_schema=wrong)


def test_usual_values_are_no_bounds(model: LanguageModel) -> None:
    schema = {"type": "boolean", "default": {"maximum": 1e300, "enum": [2**60]}}
    assert model.generate("the cat", json_schema=schema).text in ("true", "false")


def test_the_largest_value_is_kept_to(model: LanguageModel) -> None:
    assert model.generate("the cat", json_schema={"const": 2**53}).text == str(2**53)


def test_the_largest_bounds_are_kept_to(model: LanguageModel) -> None:
    schema = {"type": "integer", "minimum": 2**53 - 1, "maximum": 2**53 - 1}
    assert model.generate("the cat", json_schema=schema).text == str(2**53 - 1)


def test_what_cannot_be_kept_to_is_refused(model: LanguageModel) -> None:
    for schema in ({"type": "cat"}, {"$ref": "http://x"}):
        with pytest.raises(InputError, match="a schema that can be kept to"):
            model.generate("the cat", json_schema=schema)
    with pytest.raises(InputError, match="json_schema: expected a mapping, got 'x'"):
        model.generate("the cat", json_schema="x")  # type: ignore[arg-type]  # which is refused
    with pytest.raises(InputError, match="num_beams: expected 1 with json_schema"):
        GenerationOptions(json_schema={}, num_beams=2)
    with pytest.raises(InputError, match="ignore_eos: expected False with json_schema"):
        GenerationOptions(json_schema={}, ignore_eos=True)
    endless = Tokenizer(byte_level(), {})
    with pytest.raises(InputError, match="whose texts end by a token"):
        Grammar(GrammarTokenizer(endless, 340), json_grammar(SCHEMA))


def test_where_there_is_no_tokenizer_a_mask_is_asked_for(model: LanguageModel) -> None:
    options = GenerationOptions(json_schema=SCHEMA)
    with pytest.raises(InputError, match="or a mask in `adjust`"):
        next(generate_tokens(model.model, model.params, [[3]], options))
    with pytest.raises(InputError, match="its mask belongs to `adjust`"):
        Request([3], options)
