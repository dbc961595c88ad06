"""Tokens that files beside ``tokenizer.json`` name are tokens, with the ids that they say.

What is expected of them is what transformers 5.24 makes of the same files.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import AddedToken
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
    written_beside(folder, **files)
    return made.vocab_size


def written_beside(folder: Path, **files: dict[str, Any]) -> None:
    """Add to what files say."""
    for name, more in files.items():
        path = folder / f"{name}.json"
        old = json.loads(path.read_text("utf-8")) if path.exists() else {}
        path.write_text(json.dumps({**old, **more}), "utf-8")


@pytest.mark.parametrize(
    "files",
    [
        {"tokenizer_config": {"additional_special_tokens": ["<q>"]}},
        {"tokenizer_config": {"additional_special_tokens": [{"content": "<q>"}]}},
        {"tokenizer_config": {"extra_special_tokens": ["<q>"]}},
        {"tokenizer_config": {"extra_special_tokens": {"image_token": "<q>"}}},
        {"special_tokens_map": {"additional_special_tokens": ["<q>"]}},
        {"tokenizer_config": {"pad_token": "<q>"}},
        {"tokenizer_config": {"sep_token": {"content": "<q>", "special": False}}},
        {"tokenizer_config": {"image_token": "<q>"}},
        {"special_tokens_map": {"mask_token": "<q>"}},
    ],
)
def test_a_token_without_an_id_gets_the_next_one(tmp_path: Path, files: Any) -> None:
    free = written(tmp_path, **files)
    tokenizer = load_tokenizer(tmp_path)
    ids = tokenizer.encode("the<q>cat")
    assert ids.count(free) == 1
    assert tokenizer.decode(ids) == "thecat"


@pytest.mark.parametrize(
    ("extra", "found"),
    [(["<b>"], [None, 0]), ([], [0, None]), ({"image_token": "<b>"}, [1, 0])],
)
def test_of_two_keys_the_newer_one_counts_where_it_has_a_list(
    tmp_path: Path, extra: Any, found: list[int | None]
) -> None:
    more = {"additional_special_tokens": ["<a>"], "extra_special_tokens": extra}
    free = written(tmp_path, tokenizer_config=more)
    made = load_tokenizer(tmp_path)
    ids = [made.token_id(text) for text in ("<a>", "<b>")]
    assert ids == [None if at is None else free + at for at in found]


def test_roles_are_added_in_their_order(tmp_path: Path) -> None:
    more = {"mask_token": "<m>", "image_token": "<i>", "pad_token": "<p>", "sep_token": "<s>"}
    table = {"additional_special_tokens": ["<q>"]}
    free = written(tmp_path, tokenizer_config={"bos_token": "<b>", **table, **more})
    ids = load_tokenizer(tmp_path).encode("<b><s><p><m><i><q>")
    assert ids == [*range(free, free + 6)]


def test_a_role_makes_a_token_of_a_word_of_the_vocabulary(tmp_path: Path) -> None:
    written(tmp_path, tokenizer_config={"pad_token": "cat"})
    tokenizer = load_tokenizer(tmp_path)
    [pad] = tokenizer.encode("cat")
    assert (tokenizer.pad_id, tokenizer.special_ids) == (pad, {0, 1, 2, pad})


def said(folder: Path, flags: dict[str, Any], **files: dict[str, Any]) -> Tokenizer:
    """A tokenizer whose ``tokenizer.json`` says something of ``<q>``, and other files too."""
    library = byte_level()
    library.add_tokens([AddedToken("<q>", **flags)])
    Tokenizer(library, {}).save(folder)
    written_beside(folder, **files)
    return load_tokenizer(folder)


@pytest.mark.parametrize("file", ["tokenizer_config", "special_tokens_map"])
def test_a_token_with_a_role_is_special(tmp_path: Path, file: str) -> None:
    plain = {"special": False, "lstrip": True}
    tokenizer = said(tmp_path, plain, **{file: {"eos_token": "<q>"}})
    [end] = tokenizer.eos_ids
    assert tokenizer.encode("the <q>") == [*tokenizer.encode("the"), end]  # as it was
    assert tokenizer.decode(tokenizer.encode("the <q>")) == "the"


def test_what_the_configuration_says_of_a_token_goes_first(tmp_path: Path) -> None:
    entry = {"content": "<q>", "lstrip": True, "rstrip": True, "special": True}
    number = str(byte_level().get_vocab_size())
    config = {"added_tokens_decoder": {number: entry}}
    tokenizer = said(tmp_path, {"special": False}, tokenizer_config=config)
    ids = tokenizer.encode("the <q> cat")
    assert tokenizer.decode(ids, skip_special=False) == "the<q>cat"
    assert tokenizer.decode(ids) == "thecat"


@pytest.mark.parametrize(("more", "shown"), [({}, "<q>"), ({"pad_token": "<q>"}, "")])
def test_a_token_of_the_older_file_is_a_part_of_texts_without_a_role(
    tmp_path: Path, more: dict[str, str], shown: str
) -> None:
    free = written(tmp_path, tokenizer_config=more)
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<q>": free}), "utf-8")
    assert load_tokenizer(tmp_path).decode([free]) == shown


def test_what_files_say_of_tokens_is_written(tmp_path: Path) -> None:
    token = {"content": "<q>", "lstrip": True}
    written(tmp_path, tokenizer_config={"mask_token": token})
    first = load_tokenizer(tmp_path)
    (tmp_path / "again").mkdir()
    first.save(tmp_path / "again")
    again = load_tokenizer(tmp_path / "again")
    assert (again.document, again.mask_id) == (first.document, first.mask_id)
    assert '"lstrip":true' in first.document


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
