"""Tokens that files beside ``tokenizer.json`` name are tokens, with the ids that they say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from vocabulary_samples import byte_level

from lmkernel.errors import CheckpointError
from lmkernel.tokenizers import Tokenizer
from lmkernel.tokenizers.load import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, **files: dict[str, Any]) -> int:
    """A tokenizer in a folder, with what else its files say; returns the first free id."""
    made = Tokenizer(byte_level(), {"eos_token": "<|endoftext|>"})
    made.save(folder)
    for name, more in files.items():
        path = folder / f"{name}.json"
        old = json.loads(path.read_text("utf-8")) if path.exists() else {}
        path.write_text(json.dumps({**old, **more}), "utf-8")
    return made.vocab_size


@pytest.mark.parametrize(
    "files",
    [
        {"tokenizer_config": {"additional_special_tokens": ["<q>"]}},
        {"tokenizer_config": {"additional_special_tokens": [{"content": "<q>"}]}},
        {"tokenizer_config": {"extra_special_tokens": ["<q>"]}},
        {"tokenizer_config": {"extra_special_tokens": {"image_token": "<q>"}}},
        {"special_tokens_map": {"additional_special_tokens": ["<q>"]}},
    ],
)
def test_a_token_without_an_id_gets_the_next_one(tmp_path: Path, files: Any) -> None:
    free = written(tmp_path, **files)
    ids = load_tokenizer(tmp_path).encode("the<q>cat")
    assert ids.count(free) == 1


def test_tokens_with_ids_are_added_in_the_order_of_these(tmp_path: Path) -> None:
    free = written(tmp_path)
    table = {str(free + 1): {"content": "<b>"}, str(free): {"content": "<a>", "special": False}}
    written(tmp_path, tokenizer_config={"added_tokens_decoder": table})
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<c>": free + 2}), "utf-8")
    ids = load_tokenizer(tmp_path).encode("<a><b><c>")
    assert ids == [free, free + 1, free + 2]


@pytest.mark.parametrize("file", ["tokenizer_config", "added_tokens"])
def test_an_id_of_another_token_is_refused(tmp_path: Path, file: str) -> None:
    free = written(tmp_path)
    told = (
        {"<q>": 3}
        if file == "added_tokens"
        else {"added_tokens_decoder": {"3": {"content": "<q>"}}}
    )
    written(tmp_path, **{file: told})
    with pytest.raises(CheckpointError, match=rf"'<q>': expected the id {free}, .* got 3"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (
            {"tokenizer_config": {"added_tokens_decoder": {"x": 5}}},
            "added_tokens_decoder: expected",
        ),
        (
            {"tokenizer_config": {"added_tokens_decoder": {"3": {}}}},
            "added_tokens_decoder: expected",
        ),
        ({"tokenizer_config": {"added_tokens_decoder": [3]}}, "added_tokens_decoder: expected"),
        ({"added_tokens": {"<q>": "3"}}, "added_tokens.json: '<q>': expected an id"),
        ({"tokenizer_config": {"additional_special_tokens": [5]}}, "expected tokens, got"),
        ({"tokenizer_config": {"split_special_tokens": True}}, "split_special_tokens: expected"),
        ({"tokenizer_config": {"eos_token": 2}}, "eos_token: expected a token, got 2"),
        ({"tokenizer_config": {"eos_token": ["<|endoftext|>"]}}, "eos_token: expected a token"),
        ({"special_tokens_map": {"pad_token": {"id": 2}}}, "pad_token: expected a token"),
    ],
)
def test_what_names_no_token_is_refused(tmp_path: Path, files: Any, complaint: str) -> None:
    written(tmp_path, **files)
    with pytest.raises(CheckpointError, match=complaint):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(("more", "used"), [({}, "the"), ({"added_tokens_decoder": {}}, "cat")])
def test_two_files_that_disagree_are_told_apart(
    tmp_path: Path, more: dict[str, Any], used: str
) -> None:
    own = {"eos_token": "cat", "additional_special_tokens": ["the", "cat"], **more}
    written(tmp_path, tokenizer_config=own, special_tokens_map={"eos_token": "the"})
    with pytest.warns(UserWarning, match=rf"eos_token: .*'cat', .*'the'; '{used}' is used"):
        tokenizer = load_tokenizer(tmp_path)
    assert [*tokenizer.eos_ids] == tokenizer.encode(used)
