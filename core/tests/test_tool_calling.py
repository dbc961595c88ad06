"""A model that calls Python functions: they are called, it is told the results, and it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from inspected import loaded
from small import HF_CONFIG
from vocabulary_samples import TEMPLATE, byte_level

import lmkernel.generation.tokens as choosing
from lmkernel.errors import InputError
from lmkernel.structured import Tool
from lmkernel.tokenizers import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.language_model import LanguageModel

CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 40}}\n</tool_call>'
TWICE = CALL + '\n<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 1}}\n</tool_call>'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    special = {"eos_token": "<|im_end|>", "bos_token": "<|endoftext|>"}
    tokenizer = Tokenizer(byte_level(), special, templates={"default": TEMPLATE})
    config = {**HF_CONFIG, "vocab_size": 340, "max_position_embeddings": 2048, "eos_token_id": 0}
    return loaded(tmp_path_factory.mktemp("models") / "small", config, tokenizer, dtype="float32")


@pytest.fixture
def write(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has the model write texts, one after another, so far as that is allowed."""

    def script(*texts: str) -> None:
        rest = [
            [*model.tokenizer.encode(text, special_tokens=False), model.end_ids[0]]
            for text in texts
        ]

        def sample(logits: Any, *_: Any, step: int, **__: Any) -> int:
            token = rest[0][step]
            assert logits[token] > -float("inf"), model.tokenizer.decode(rest[0][step:])
            if step + 1 == len(rest[0]):
                rest.pop(0)
            return token

        monkeypatch.setattr(choosing, "sample", sample)

    return script


def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


def test_functions_are_called_until_there_is_an_answer(model: LanguageModel, write: Any) -> None:
    write("So: " + TWICE, "It is 42.")
    answer = model.chat_with_tools("2 + 40?", [add])
    assert (str(answer), answer.finish_reason) == ("It is 42.", "stop")
    question, called, first, second, last = answer.messages
    assert question == {"role": "user", "content": "2 + 40?"}
    assert called["content"] == "So:"
    assert [c["function"]["arguments"] for c in called["tool_calls"]] == [
        '{"a": 2, "b": 40}',
        '{"a": 1, "b": 1}',
    ]
    assert [first["content"], second["content"]] == ["42", "2"]
    assert first["tool_call_id"] == called["tool_calls"][0]["id"]
    assert last == {"role": "assistant", "content": "It is 42."}
    assert answer.json()["messages"][0] == question


def test_an_answer_needs_no_call(model: LanguageModel, write: Any) -> None:
    write("No.")
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 40?"}]
    assert model.chat_with_tools(asked, [Tool("f", function=add)]).messages[:2] == tuple(asked)


def test_the_rounds_are_limited(model: LanguageModel, write: Any) -> None:
    write(CALL, CALL, CALL)
    answer = model.chat_with_tools("2 + 40?", [add], rounds=1)
    assert answer.finish_reason == "tool_calls"
    assert [message["role"] for message in answer.messages].count("tool") == 1
    cut = model.chat_with_tools("2 + 40?", [add], rounds=3, max_new_tokens=25)
    assert cut.finish_reason == "length"


def test_what_a_function_raises_is_raised(model: LanguageModel, write: Any) -> None:
    def divide(a: int) -> float:
        return a / 0

    write('<tool_call>\n{"name": "divide", "arguments": {"a": 2}}\n</tool_call>')
    with pytest.raises(ZeroDivisionError):
        model.chat_with_tools("2 / 0?", [divide])


@pytest.mark.parametrize(
    ("tools", "changes", "message"),
    [
        ([], {}, "at least one function"),
        ([add, add], {}, "expected names of their own"),
        ([len], {}, "tools: len"),
        ([add], {"json_schema": {}}, "expected no json_schema"),
        ([add], {"num_beams": 2}, "one beam"),
    ],
)
def test_what_makes_no_sense_is_refused(
    model: LanguageModel, tools: Any, changes: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        model.chat_with_tools("2 + 40?", tools, **changes)
