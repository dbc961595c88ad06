"""What is learned of a conversation, beside transformers: its texts and its mask of the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lmkernel.errors import InputError
from lmkernel.tokenizers import Tokenizer
from lmkernel.training.data.chat import chat_examples
from lmkernel.training.data.rows import Row

SHAPES = {p.stem: p.read_text() for p in (Path(__file__).parent / "chat_templates").glob("*.jinja")}
FORGETFUL = {"glm4", "harmony", "phi3", "phi4mini", "qwen3"}
"""They render a turn otherwise once another follows."""
OPENING = {"deepseek"}
"""It opens an answer with what it leaves out of answers."""
CONFIG = {"bos_token": "<s>", "eos_token": "</s>"}
MARKED = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' }}{% if m['role'] == 'assistant' %}\n"
    "  {%- generation -%}\n   {{ m['content'] + eos_token }}\n  {%- endgeneration %}\n"
    "{% else %}{{ m['content'] }}{% endif %}\n{% endfor %}"
)


def backend() -> tokenizers.Tokenizer:
    """The bytes, and two special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = tokenizers.Tokenizer(models.BPE({one: i for i, one in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(CONFIG.values()))
    return made


def talk(reasoning: bool) -> list[dict[str, Any]]:
    answers = [{"role": "assistant", "content": f"It is {n} é."} for n in (4, 5, 6)]
    if reasoning:
        answers = [{**one, "reasoning_content": "I add."} for one in answers]
    asked = [{"role": "user", "content": f"What is {n}?"} for n in range(3)]
    return [one for pair in zip(asked, answers, strict=True) for one in pair]


def learned(source: str, messages: list[dict[str, Any]], **options: Any) -> list[Any]:
    ours = Tokenizer(backend(), CONFIG, templates={"default": source})
    (made,) = chat_examples([Row({"messages": messages}, "row")], ours, context=9999, **options)
    return made


def theirs(source: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=backend(), chat_template=source, **CONFIG)


@pytest.mark.parametrize("reasoning", [False, True])
@pytest.mark.parametrize("shape", sorted(SHAPES.keys() - OPENING))
def test_b39_each_turn_is_learned_in_the_text_as_it_was_when_last(
    shape: str, reasoning: bool
) -> None:
    messages, tokenizer = talk(reasoning), theirs(SHAPES[shape])
    made = learned(SHAPES[shape], messages)
    assert (len(made) == 3) >= (shape in FORGETFUL and reasoning)
    ends = (2, 4, 6) if len(made) == 3 else (6,)
    for example, end in zip(made, ends, strict=True):
        text = tokenizer.apply_chat_template(messages[:end], tokenize=False)
        assert tokenizer.decode(example.ids) == text
        said = tokenizer.decode([i for i, m in zip(example.ids, example.learned, strict=True) if m])
        answers = [messages[n]["content"] for n in range(1, end, 2)]
        assert [a in said for a in answers] == [len(made) == 1] * (len(answers) - 1) + [True]
        assert "What" not in said


@pytest.mark.parametrize("source", [MARKED, SHAPES["smollm3"]])
def test_b39_marks_give_the_mask_that_transformers_gives(source: str) -> None:
    messages = talk(reasoning=False)
    (example,) = learned(source, messages)
    expected = theirs(source).apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True
    )
    assert list(example.ids) == expected["input_ids"]
    assert [int(mark) for mark in example.learned] == expected["assistant_masks"]
    (last,) = learned(source, messages, turns="last")
    assert 0 < sum(last.learned) < sum(example.learned)


@pytest.mark.parametrize("shape", sorted(OPENING))
def test_a_template_that_opens_answers_otherwise_is_named(shape: str) -> None:
    with pytest.raises(InputError, match="row: expected a chat template that leaves what came"):
        learned(SHAPES[shape], talk(reasoning=False))


@pytest.mark.parametrize("shape", ["hermes", "llama31", "qwen25", "qwen3", "mistral"])
def test_b38_tools_are_rendered_as_transformers_renders_them(shape: str) -> None:
    schema = {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}
    tools = [{"type": "function", "function": schema}]
    row = Row({"messages": talk(reasoning=False), "tools": tools}, "row")
    ours = Tokenizer(backend(), CONFIG, templates={"default": SHAPES[shape]})
    (*_, last) = next(iter(chat_examples([row], ours, context=99999)))
    messages = talk(reasoning=False)
    text = theirs(SHAPES[shape]).apply_chat_template(messages, tools=tools, tokenize=False)
    assert ours.decode(last.ids, skip_special=False) == text
    assert "add" in text
