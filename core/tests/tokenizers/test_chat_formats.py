"""A model without a chat template is given one that ends its answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from letters import letters
from vocabulary_samples import byte_level

from lmkernel.errors import InputError, TemplateError
from lmkernel.tokenizers import Tokenizer, load_tokenizer
from lmkernel.tokenizers.chat_formats import with_chat_template

if TYPE_CHECKING:
    from pathlib import Path

TALK = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


def tokenizer_of(**config: Any) -> Tokenizer:
    return Tokenizer(byte_level(), {"eos_token": "<|endoftext|>", **config}, eos_ids=[5])


def test_plain_ends_turns_with_what_ends_texts_and_changes_nothing_else() -> None:
    bare = tokenizer_of()
    made = with_chat_template(bare, "plain")
    assert made.eos_ids == bare.eos_ids
    assert made.chat(TALK) == (
        "<|user|>\na<|endoftext|>\n<|assistant|>\nb<|endoftext|>\n<|assistant|>\n"
    )
    begun = with_chat_template(tokenizer_of(bos_token="<|im_start|>"), "plain")  # noqa: S106 - no password
    assert begun.chat(TALK[:1]).startswith("<|im_start|><|user|>")


def test_chatml_ends_texts_with_its_own_token_from_then_on(tmp_path: Path) -> None:
    made = with_chat_template(tokenizer_of(), "chatml")
    end = made.encode("<|im_end|>", special_tokens=False)
    assert made.eos_ids == (*end, *tokenizer_of().eos_ids)
    assert made.chat(TALK[:1]) == "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n"
    made.save(tmp_path)
    assert load_tokenizer(tmp_path).eos_ids[:1] == tuple(end)
    written = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert "<|im_end|>" in written.values()


def test_a_tokenizer_without_such_a_token_is_refused() -> None:
    without = Tokenizer(letters()._backend, {})
    with pytest.raises(InputError, match="chat template chatml: expected the tokenizer to have"):
        with_chat_template(without, "chatml")
    with pytest.raises(TemplateError, match="plain: the chat template fails: 'eos_token' is undef"):
        with_chat_template(without, "plain")


def test_a_file_that_fails_or_is_missing_is_named(tmp_path: Path) -> None:
    file = tmp_path / "t.jinja"
    with pytest.raises(InputError, match=r"plain, chatml or a file, got .*t\.jinja: .*: No such"):
        with_chat_template(letters(), file)
    file.write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"t\.jinja: 'utf-8' codec"):
        with_chat_template(letters(), file)
    file.write_text("{% for %}")
    with pytest.raises(TemplateError, match=r"t\.jinja: the chat template does not parse"):
        with_chat_template(letters(), file)
