"""Of a conversation, the assistant's words are learned and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
import tokenizers
from letters import enclosed, letters
from vocabulary_samples import TEMPLATE, byte_level

from lmkernel.errors import InputError, TemplateError
from lmkernel.tokenizers import Tokenizer
from lmkernel.training.data.chat import chat_examples
from lmkernel.training.data.rows import Row

CONFIG = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
TALK = [
    {"role": "system", "content": "be"},
    {"role": "user", "content": "the cat"},
    {"role": "assistant", "content": " the\nhat "},
    {"role": "user", "content": "<|im_end|>"},
    {"role": "assistant", "content": "mat é"},
]


def chatty(template: str = TEMPLATE) -> Tokenizer:
    return Tokenizer(byte_level(), CONFIG, templates={"default": template})


def learned(tokenizer: Tokenizer, values: dict[str, Any], **options: Any) -> tuple[str, list[str]]:
    """The text, and the stretches of it that are learned."""
    options = {"context": 512, **options}
    ((example,),) = chat_examples([Row(values, "f: line 1")], tokenizer, **options)
    runs: list[list[int]] = []
    for number, (token, mark) in enumerate(zip(example.ids, example.learned, strict=True)):
        if mark and number and example.learned[number - 1]:
            runs[-1].append(token)
        elif mark:
            runs.append([token])
    return (
        tokenizer.decode(example.ids, skip_special=False),
        [tokenizer.decode(run, skip_special=False) for run in runs],
    )


def test_answers_and_the_tokens_that_end_them_are_learned() -> None:
    text, said = learned(chatty(), {"messages": TALK})
    assert text == chatty().chat(TALK, add_generation_prompt=False)
    assert said == [" the\nhat <|im_end|>", "mat é<|im_end|>"]


def test_token_by_token() -> None:
    tokenizer = letters(
        "{% for m in messages %}<start>{{ m.role[0] }}:{{ m.content }}<end>"
        "{% endfor %}{% if add_generation_prompt %}<start>a:{% endif %}"
    )
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]
    ((example,),) = chat_examples([Row({"messages": talk}, "")], tokenizer, context=64)
    text = ["<start>", "u", ":", "h", "i", "<end>", "<start>", "a", ":", "y", "o", "<end>"]
    assert [tokenizer.decode([n], skip_special=False) for n in example.ids] == text
    assert list(example.learned) == [False] * 9 + [True] * 3


@pytest.mark.parametrize(
    "values",
    [
        {"prompt": "the cat", "completion": "the mat"},
        {
            "prompt": [{"role": "user", "content": "the cat"}],
            "completion": [{"role": "assistant", "content": "the mat"}],
        },
        {"prompt": [{"role": "user", "content": "the cat", "tool": None}], "completion": "the mat"},
    ],
)
def test_prompt_and_completion_are_a_conversation(values: dict[str, Any]) -> None:
    text, said = learned(chatty(), values)
    assert text.startswith("<|im_start|>user\nthe cat<|im_end|>\n<|im_start|>assistant\nthe mat")
    assert said == ["the mat<|im_end|>"]


def test_columns_may_have_other_names() -> None:
    values = {"q": "the cat", "a": "the mat"}
    assert learned(chatty(), values, columns={"prompt": "q", "completion": "a"})[1] == [
        "the mat<|im_end|>"
    ]


def test_without_a_token_that_ends_a_turn_all_of_it_is_learned() -> None:
    _, said = learned(letters(), {"prompt": "hi", "completion": "yo"})
    assert said == ["yo\n"]


def test_without_a_template_texts_are_put_together() -> None:
    text, said = learned(letters(None), {"prompt": "hi ", "completion": "yo"})
    assert text == "hi yo<end>"
    assert said == ["yo<end>"]


def test_without_a_template_texts_begin_as_a_prompt_does() -> None:
    """What a tokenizer puts before a text that a model goes on from is there when it learns."""
    text, said = learned(enclosed(), {"prompt": "hi ", "completion": "yo"})
    assert text == "<start>hi yo<end>"
    assert said == ["yo<end>"]
    assert enclosed().encode("hi ")[:-1] == enclosed().encode("<start>hi ", special_tokens=False)


@pytest.mark.parametrize("asked", ["hi ", "<start>hi "])
@pytest.mark.parametrize("completed", ["yo", "yo<end>"])
def test_without_a_template_what_texts_have_around_them_is_not_put_there_again(
    asked: str, completed: str
) -> None:
    text, said = learned(enclosed(), {"prompt": asked, "completion": completed})
    assert text == "<start>hi yo<end>"
    assert said == ["yo<end>"]


def test_without_a_template_a_completion_has_the_space_that_it_has_in_one_text() -> None:
    """A tokenizer that puts a space before each text puts none between prompt and completion."""
    spaced = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"<unk>": 0, "</s>": 1, "▁hi": 2, "▁yo": 3, "▁": 4}, "<unk>")
    )
    spaced.pre_tokenizer = tokenizers.pre_tokenizers.Split("▁", "merged_with_next")
    spaced.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.Prepend("▁"), tokenizers.normalizers.Replace(" ", "▁")]
    )
    row = Row({"prompt": "hi", "completion": " yo"}, "f")
    made = Tokenizer(spaced, {"eos_token": "</s>"})
    [[example]] = chat_examples([row], made, context=9)
    assert example.ids == [2, 3, 1]
    assert example.learned == [False, True, True]


def test_without_a_template_messages_are_refused() -> None:
    with pytest.raises(TemplateError, match=r"^f: line 1: the model has no chat template"):
        learned(letters(None), {"messages": TALK})


def test_what_is_cut_is_the_end() -> None:
    text, said = learned(chatty(), {"messages": TALK}, truncate=True, context=40)
    assert chatty().chat(TALK).startswith(text)
    assert len(chatty().encode(text, special_tokens=False)) <= 41
    assert said[0].startswith(" the\nhat"[: len(said[0])])


FORGETS = (
    "{% for m in messages %}{% if m.role != 'assistant' or loop.last %}<|im_start|>{{ m.role }}\n"
    "{{ m.content }}<|im_end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKS = TEMPLATE.replace("assistant\n{%", "assistant\n<think>{%")


def examples(tokenizer: Tokenizer, values: dict[str, Any], **options: Any) -> list[tuple[str, str]]:
    """The text and what is learned of it, of each example of a row."""
    (made,) = chat_examples([Row(values, "f: line 1")], tokenizer, context=512, **options)
    return [
        (
            tokenizer.decode(e.ids, skip_special=False),
            tokenizer.decode(
                [i for i, mark in zip(e.ids, e.learned, strict=True) if mark], skip_special=False
            ),
        )
        for e in made
    ]


def test_b39_a_template_that_forgets_turns_gives_each_as_it_was_when_last() -> None:
    tokenizer = chatty(FORGETS)
    first, second = examples(tokenizer, {"messages": TALK})
    assert first == (tokenizer.chat(TALK[:3], add_generation_prompt=False), " the\nhat <|im_end|>")
    assert second == (tokenizer.chat(TALK, add_generation_prompt=False), "mat é<|im_end|>")


@pytest.mark.parametrize("template", [TEMPLATE, FORGETS])
def test_b39_the_last_turn_alone_may_be_learned(template: str) -> None:
    tokenizer = chatty(template)
    ((text, said),) = examples(tokenizer, {"messages": TALK}, turns="last")
    assert text == tokenizer.chat(TALK, add_generation_prompt=False)
    assert said == "mat é<|im_end|>"


MARKS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}\n    {% generation -%}\n    {{ m.content }}<|im_end|>\n"
    "    {% endgeneration %}\n{% else %}{{ m.content }}<|im_end|>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize("turns", ["all", "last"])
def test_b39_what_a_template_marks_is_learned(turns: str) -> None:
    tokenizer = chatty(MARKS)
    ((text, said),) = examples(tokenizer, {"messages": TALK}, turns=turns)
    assert text == tokenizer.chat(TALK, add_generation_prompt=False)
    marked = [f"{m['content']}<|im_end|>\n" for m in TALK if m["role"] == "assistant"]
    assert said == "".join(marked if turns == "all" else marked[1:])


@pytest.mark.parametrize("template", [TEMPLATE, FORGETS, MARKS])
def test_an_answer_without_weight_is_not_learned(template: str) -> None:
    talk = [*TALK[:2], {**TALK[2], "weight": 0}, TALK[3], {**TALK[4], "weight": 1}]
    tokenizer = chatty(template)
    ((text, said),) = examples(tokenizer, {"messages": talk})
    assert text == tokenizer.chat(TALK, add_generation_prompt=False)
    assert said.rstrip() == "mat é<|im_end|>"
    with pytest.raises(InputError, match="expected something that the assistant says"):
        examples(tokenizer, {"messages": talk[:3]})


@pytest.mark.parametrize("turns", ["all", "last"])
@pytest.mark.parametrize("template", [TEMPLATE, FORGETS, MARKS])
def test_of_a_prompt_of_messages_nothing_is_learned(template: str, turns: str) -> None:
    tokenizer = chatty(template)
    values = {"prompt": TALK[:4], "completion": TALK[4:]}
    ((text, said),) = examples(tokenizer, values, turns=turns)
    assert text == tokenizer.chat(TALK, add_generation_prompt=False)
    assert said.rstrip() == "mat é<|im_end|>"
    with pytest.raises(InputError, match="expected something that the assistant says"):
        examples(tokenizer, {"prompt": TALK[:3], "completion": TALK[3:4]})


def test_template_that_rewrites_what_it_asks_with_is_named() -> None:
    once = r"the answer in message 2 is there; at character \d+ '<think>' becomes ' the"
    with pytest.raises(InputError, match=f"^f: line 1: expected a chat template .* once {once}"):
        learned(chatty(THINKS), {"messages": TALK})


TOOLS = [{"type": "function", "function": {"name": "sum"}}]


@pytest.mark.parametrize("given", [TOOLS, json.dumps(TOOLS), [*TOOLS[:0], {**TOOLS[0], "x": None}]])
@pytest.mark.parametrize("template", ["{{ tools | length }}", "{{ tools[0].function.name }}"])
def test_b38_tools_reach_the_template(given: Any, template: str) -> None:
    tokenizer = chatty(template + TEMPLATE)
    text, said = learned(tokenizer, {"messages": TALK, "tools": given})
    assert text == tokenizer.chat(TALK, add_generation_prompt=False, tools=TOOLS)
    assert said == [" the\nhat <|im_end|>", "mat é<|im_end|>"]


@pytest.mark.parametrize("given", ["sum", {"name": "sum"}, [1]])
def test_b38_tools_that_are_none_are_named(given: Any) -> None:
    with pytest.raises(InputError, match=r"^f: line 1: expected a list of functions"):
        learned(chatty(), {"messages": TALK, "tools": given})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"text": "x"},
            r"expected the column messages \(or .*\), or prompt .*; got the columns text; columns",
        ),
        ({"prompt": "x"}, "expected the column messages .* got the columns prompt;"),
        ({"messages": {"role": "user"}}, "expected messages with role and content in the column"),
        ({"messages": [10**5000]}, r"expected messages .* got \[<int of 16610 bits>\]"),
        ({"messages": [1]}, "expected messages with role and content in the column"),
        ({"messages": [{"content": "x"}]}, "message 0: expected a role"),
        (
            {"messages": TALK[:2]},
            "expected something that the assistant says, got the roles 'system', 'user' and no",
        ),
        (
            {"messages": [{"role": "human", "content": "x"}, {"role": "bot", "content": "y"}]},
            "expected something that the assistant says, got the roles 'human', 'bot' and nothing",
        ),
        ({"prompt": "x", "completion": "\ud800"}, r"expected text .* lone surrogate U\+D800"),
    ],
)
def test_malformed_row_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^f: line 1: {message}"):
        learned(chatty(), values)


def test_refusing_template_names_the_row() -> None:
    with pytest.raises(TemplateError, match=r"^f: line 1: the chat template refuses .* no system"):
        learned(chatty("{{ raise_exception('no system') }}"), {"messages": TALK})


def test_conversation_beyond_the_context_is_named() -> None:
    with pytest.raises(InputError, match=r"^f: line 1: expected at most 21 tokens, .* got \d+;"):
        learned(chatty(), {"messages": TALK}, context=20)


def test_nothing_said_within_the_context_is_named() -> None:
    with pytest.raises(InputError, match=r"^f: line 1: expected something that the"):
        learned(chatty(), {"messages": TALK}, context=8, truncate=True)
