"""A tokenizer encodes, decodes, knows its special ids, and saves itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import tokenizers
from letters import letters
from vocabulary_samples import CORPUS, TEMPLATE, TEXTS, byte_level, sentencepiece

from lmkernel.errors import InputError, TemplateError
from lmkernel.tokenizers import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG = {
    "bos_token": "<|im_start|>",
    "eos_token": {"content": "<|im_end|>", "lstrip": False},
    "pad_token": None,
}
USER = {"role": "user", "content": "the cat"}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(byte_level(), CONFIG, templates={"default": TEMPLATE}, eos_ids=(0, 2))


@pytest.mark.parametrize("text", TEXTS)
def test_decoding_gives_the_text_back(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text), skip_special=False) == text


def test_ids_are_the_librarys(tokenizer: Tokenizer) -> None:
    library = byte_level()
    assert [tokenizer.encode(t) for t in TEXTS] == [library.encode(t).ids for t in TEXTS]


def test_special_ids_and_sizes(tokenizer: Tokenizer) -> None:
    assert tokenizer.eos_ids == (2, 0)
    assert (tokenizer.bos_id, tokenizer.pad_id) == (1, None)
    assert tokenizer.vocab_size == byte_level().get_vocab_size()


def test_special_tokens_are_skipped_unless_asked_for(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("<|im_start|>the cat<|im_end|>")
    assert (ids[0], ids[-1]) == (1, 2)
    assert tokenizer.decode(ids) == "the cat"
    assert tokenizer.decode(ids, skip_special=False) == "<|im_start|>the cat<|im_end|>"


def test_ids_of_a_padded_vocabulary_add_nothing(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode([*tokenizer.encode("cat"), 99_999]) == "cat"


def test_negative_id_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="expected token ids in 0 … 4294967295, got -3"):
        tokenizer.decode([5, -3])


@pytest.mark.parametrize("text", ["a\ud800", "\udcffx"])
def test_lone_surrogate_is_refused(tokenizer: Tokenizer, text: str) -> None:
    with pytest.raises(InputError, match=r"lone surrogate U\+D[8C]\w\w at character [01]"):
        tokenizer.encode(text)
    with pytest.raises(InputError, match="lone surrogate"):
        tokenizer.chat([{"role": "user", "content": text}])
    assert tokenizer.token_id(text) is None  # no vocabulary has it


def test_special_token_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(InputError, match=r"eos_token '<\|gone\|>' is not in the tokenizer's"):
        Tokenizer(byte_level(), {"eos_token": "<|gone|>"})


def test_chat_renders_and_encodes(tokenizer: Tokenizer) -> None:
    text = tokenizer.chat([USER])
    assert text == "<|im_start|>user\nthe cat<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.chat([USER], add_generation_prompt=False).endswith("<|im_end|>\n")
    assert tokenizer.encode(text, special_tokens=False).count(1) == 2
    assert tokenizer.chat_template == TEMPLATE


def test_template_sees_special_tokens_and_tools() -> None:
    source = "{{ bos_token }}{{ tools[0].name if tools }}{{ pad_token is defined }}"
    tokenizer = Tokenizer(byte_level(), CONFIG, templates={"default": source})
    assert tokenizer.chat([USER], tools=[{"name": "f"}]) == "<|im_start|>fFalse"


def test_template_named_tool_use_serves_tools() -> None:
    templates = {"default": "plain", "tool_use": "tools"}
    tokenizer = Tokenizer(byte_level(), CONFIG, templates=templates)
    assert tokenizer.chat([USER]) == "plain"
    assert tokenizer.chat([USER], tools=[{"name": "f"}]) == "tools"


def test_model_without_template_points_to_generate() -> None:
    tokenizer = Tokenizer(byte_level(), CONFIG)
    assert tokenizer.chat_template is None
    with pytest.raises(TemplateError, match="no chat template; use generate"):
        tokenizer.chat([USER])


@pytest.mark.parametrize("message", [{"content": "x"}, {"role": 3, "content": "x"}])
def test_message_without_role_is_refused(tokenizer: Tokenizer, message: dict[str, object]) -> None:
    with pytest.raises(InputError, match="message 1: expected a role"):
        tokenizer.chat([USER, message])


def test_key_that_is_none_is_left_out_as_transformers_does() -> None:
    seen = letters("{% for m in messages %}{{ m.keys() | list | join(' ') }};{% endfor %}")
    call = {"role": "a", "content": None, "tool_calls": [{"name": "f"}]}
    messages = [{"role": "a", "content": "b", "name": None}, call]
    assert seen.chat(messages) == "role content;role tool_calls;"


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ({"role": "user"}, "message 1: expected content, got a message of role"),
        ({"role": "user", "content": None}, "message 1: expected content, got"),
        ({"role": "user", "content": None, "tool_calls": []}, "message 1: expected content, got"),
        ({"role": "user", "content": 5}, "message 1: expected content that is a text, or parts"),
        ({"role": "user", "content": {"a": 1}}, "message 1: expected content that is a text, or"),
        ({"role": "user", "content": [{"type": "text"}]}, "message 1: expected content that is a"),
        ({"role": "user", "content": [{"type": "text", "text": "\ud800"}]}, "lone surrogate"),
    ],
)
def test_a_message_that_says_nothing_is_refused(
    tokenizer: Tokenizer, message: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError, match=named):
        tokenizer.chat([USER, message])


def test_template_cannot_change_the_callers_messages(tokenizer: Tokenizer) -> None:
    messages = [dict(USER)]
    tokenizer.chat(messages)
    assert messages == [USER]


@pytest.mark.parametrize(
    "templates", [{}, {"default": TEMPLATE}, {"default": "a", "tool_use": "b"}]
)
def test_saved_tokenizer_is_the_same(tmp_path: Path, templates: dict[str, str]) -> None:
    first = Tokenizer(byte_level(), CONFIG, templates=templates)
    first.save(tmp_path)
    second = load_tokenizer(tmp_path)
    assert [second.encode(text) for text in TEXTS] == [first.encode(text) for text in TEXTS]
    assert (second.bos_id, second.eos_ids) == (first.bos_id, first.eos_ids)
    assert second.chat_template == first.chat_template
    assert second.templates == templates


def test_padding_outside_the_vocabulary_has_no_id() -> None:
    assert Tokenizer(byte_level(), {"pad_token": "<|gone|>"}).pad_id is None


@pytest.mark.parametrize("make", [byte_level, sentencepiece])
@pytest.mark.parametrize("text", [*TEXTS[1:], *CORPUS])
def test_stream_gives_the_decoded_text_in_whole_characters(make: object, text: str) -> None:
    tokenizer = Tokenizer(make(), {})  # type: ignore[operator]  # one of the two functions above
    ids = tokenizer.encode(text)
    stream = tokenizer.stream(skip_special=False)
    parts = [stream.push(number) for number in ids]
    assert not any("\ufffd" in part for part in parts)
    assert "".join(parts) + stream.finish() == tokenizer.decode(ids, skip_special=False)


def test_stream_skips_special_tokens_in_the_middle() -> None:
    tokenizer = Tokenizer(sentencepiece(), {})
    ids = [*tokenizer.encode("the cat"), 1, *tokenizer.encode("the mat")]
    stream = tokenizer.stream()
    parts = [stream.push(number) for number in ids]
    assert "".join(parts) + stream.finish() == tokenizer.decode(ids) == "the cat the mat"


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(9, [1, 5, 6, 7, 2]), (5, [1, 5, 6, 7, 2]), (4, [1, 5, 6, 2]), (1, [1, 2])],
)
def test_a_limit_cuts_the_text_and_no_special_token(limit: int, expected: list[int]) -> None:
    made = letters()
    made._backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 2)]
    )
    assert made.encode("cde", limit=limit) == expected
    assert made.encode("cde", special_tokens=False, limit=limit) == [5, 6, 7][:limit]


@pytest.mark.parametrize("make", [byte_level, sentencepiece])
def test_a_long_text_is_cut_as_its_whole_is(make: Callable[[], tokenizers.Tokenizer]) -> None:
    text = " ".join(TEXTS) + " the cat sat on the mat" * 10_000
    whole = make().encode(text, add_special_tokens=False).ids
    assert Tokenizer(make(), {}).encode(text, special_tokens=False, limit=50) == whole[:50]


def test_of_a_long_text_with_a_limit_the_beginning_is_read() -> None:
    made, read = letters(), []
    own = made._backend
    made._backend = SimpleNamespace(
        encode=lambda text, **options: read.append(len(text)) or own.encode(text, **options),
        encode_batch_fast=own.encode_batch_fast,
        num_special_tokens_to_add=own.num_special_tokens_to_add,
        post_process=own.post_process,
    )
    made.encode("c" * 1_000_000, limit=5)
    assert set(read) == {131_072}


def test_of_a_long_text_of_few_tokens_all_is_read() -> None:
    own = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 1}, "a"))
    own.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made = Tokenizer(own, {})
    assert made.encode("a" + " " * 300_000 + "b" + " b" * 9, limit=4) == [0, 1, 1, 1]
