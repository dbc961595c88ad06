"""Which tokens end an answer of a GGUF file: by a key, or by their text, as in llama.cpp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from gguf_samples import byte_tokens, write_gguf

from lmkernel import load
from lmkernel.checkpoints import open_model

if TYPE_CHECKING:
    from pathlib import Path

CONTROL, OWN, NORMAL = 3, 4, 1
FIRST = 256
PLAIN = {f"tokenizer.ggml.{role}_token_id": None for role in ("eos", "eot")}
TEXTS = [
    *("<|eot_id|>", "<|im_end|>", "<end_of_turn>", "<|end|>", "<|endoftext|>", "<|eom_id|>"),
    *("</s>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>"),
    *("<|return|>", "<|call|>", "<eos>", "<turn|>", "<\uff5cend\u2581of\u2581sentence\uff5c>"),
]


def ends(
    tmp_path: Path,
    tokens: list[str],
    kind: int = CONTROL,
    lists: dict[str, Any] | None = None,
    **ids: int | None,
) -> list[str]:
    """The texts of the tokens that end an answer, when these six stand behind those of bytes."""
    tokens = [*tokens, *(f"<{number}>" for number in range(6 - len(tokens)))]
    change: dict[str, Any] = {
        **PLAIN,
        "tokenizer.ggml.tokens": [*byte_tokens(), *tokens],
        "tokenizer.ggml.token_type": [NORMAL] * FIRST + [kind] * len(tokens),
        "tokenizer.ggml.merges": ["A B"],
        **(lists or {}),
        **{f"tokenizer.ggml.{role}_token_id": number for role, number in ids.items()},
    }
    change["tokenizer.ggml.tokens"][0] = "AB"  # the merge makes a token
    path = write_gguf(tmp_path / "x.gguf", change=change)
    model = load(path)
    stored = open_model(path).generation_config.get("eos_token_id", [])
    assert list(model.end_ids) == (stored if isinstance(stored, list) else [stored])
    return [tokens[number - FIRST] for number in model.end_ids]


@pytest.mark.parametrize("text", TEXTS)
def test_b30_a_token_is_known_by_its_text(tmp_path: Path, text: str) -> None:
    assert ends(tmp_path, [text], bos=FIRST + 1) == [text]


def test_b30_ordinary_tokens_of_such_a_text_do_not_end_an_answer(tmp_path: Path) -> None:
    assert ends(tmp_path, ["</s>"], NORMAL, bos=FIRST + 1) == []


def test_b30_a_users_own_token_does(tmp_path: Path) -> None:
    assert ends(tmp_path, ["<|im_end|>"], OWN, bos=FIRST + 1) == ["<|im_end|>"]


@pytest.mark.parametrize("role", ["eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep"])
def test_b30_a_token_is_known_by_its_key(tmp_path: Path, role: str) -> None:
    assert ends(tmp_path, ["<a>", "<b>"], bos=FIRST, **{role: FIRST + 1}) == ["<b>"]


@pytest.mark.parametrize("name", ["eos_token_ids", "eog_token_ids"])
def test_b30_tokens_are_known_by_a_list(tmp_path: Path, name: str) -> None:
    lists = {f"tokenizer.ggml.{name}": [FIRST + 2, FIRST + 3]}
    assert ends(tmp_path, ["<a>", "<b>", "<c>", "<d>"], lists=lists, bos=FIRST) == ["<c>", "<d>"]


def test_b30_the_texts_own_end_comes_first(tmp_path: Path) -> None:
    found = ends(tmp_path, ["<|eot_id|>", "<|im_end|>", "<e>"], bos=FIRST + 3, eos=FIRST + 2)
    assert found == ["<e>", "<|eot_id|>", "<|im_end|>"]


@pytest.mark.parametrize(
    ("tokens", "ended"),
    [
        (["<|end|>", "<|return|>", "<|call|>"], ["<|return|>", "<|call|>"]),
        (["<|end|>", "<|return|>"], ["<|end|>", "<|return|>"]),
        (["</s>", "<|tool_response>"], ["<|tool_response>"]),
    ],
)
def test_b30_what_ends_a_part_of_a_turn_does_not_end_it(
    tmp_path: Path, tokens: list[str], ended: list[str]
) -> None:
    assert ends(tmp_path, tokens, bos=FIRST + 4) == ended
