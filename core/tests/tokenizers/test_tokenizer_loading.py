"""A directory's tokenizer is put together from the files that the ecosystem writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import processors
from vocabulary_samples import byte_level, write_directory

from lmkernel.errors import CheckpointError
from lmkernel.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

USER = [{"role": "user", "content": "x"}]


def test_tokenizer_json_alone_is_enough(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_directory(tmp_path, byte_level()))
    assert tokenizer.decode(tokenizer.encode("the cat")) == "the cat"
    assert (tokenizer.eos_ids, tokenizer.bos_id, tokenizer.chat_template) == ((), None, None)


def test_truncation_and_padding_of_the_file_are_left_out(tmp_path: Path) -> None:
    library = byte_level()
    library.enable_truncation(2)
    library.enable_padding(length=50)
    tokenizer = load_tokenizer(write_directory(tmp_path, library))
    assert tokenizer.encode("a, b; c") == byte_level().encode("a, b; c").ids
    assert len(tokenizer.encode("a, b; c")) > 2


def test_dropout_of_the_file_is_left_out_with_a_warning(tmp_path: Path) -> None:
    library = byte_level()
    library.model.dropout = 1.0  # not one merge
    write_directory(tmp_path, library)
    with pytest.warns(
        UserWarning, match=r"tokenizer\.json: model\.dropout: 1 is left out, so that"
    ):
        tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.encode("the cat") == byte_level().encode("the cat").ids


@pytest.mark.parametrize("special", ["<|im_end|>", {"content": "<|im_end|>"}])
def test_special_tokens_map_fills_what_the_configuration_leaves_open(
    tmp_path: Path, special: object
) -> None:
    files = {
        "tokenizer_config__json": {"eos_token": None, "bos_token": "<|im_start|>"},
        "special_tokens_map__json": {"eos_token": special, "bos_token": "<|im_start|>"},
    }
    tokenizer = load_tokenizer(write_directory(tmp_path, byte_level(), **files))
    assert (tokenizer.eos_ids, tokenizer.bos_id) == ((2,), 1)


@pytest.mark.parametrize(
    ("files", "ids"),
    [
        ({"generation_config__json": {"eos_token_id": [0, 2]}}, (2, 0)),
        ({"generation_config__json": {"eos_token_id": 7}}, (2, 7)),
        ({"generation_config__json": {}, "config__json": {"eos_token_id": 8}}, (2, 8)),
        (
            {"generation_config__json": {"eos_token_id": 0}, "config__json": {"eos_token_id": 8}},
            (2, 0),
        ),
        (  # below 0 is none, which no other file contradicts
            {"generation_config__json": {"eos_token_id": -1}, "config__json": {"eos_token_id": 8}},
            (2,),
        ),
        ({"config__json": {"eos_token_id": [-1, 8]}}, (2, 8)),
    ],
)
def test_ids_that_end_a_text_come_from_the_generation_configuration(
    tmp_path: Path, files: dict[str, Any], ids: tuple[int, ...]
) -> None:
    files["tokenizer_config__json"] = {"eos_token": "<|im_end|>"}
    assert load_tokenizer(write_directory(tmp_path, byte_level(), **files)).eos_ids == ids


def test_template_file_goes_before_the_configuration(tmp_path: Path) -> None:
    config = {"chat_template": "old"}
    write_directory(tmp_path, byte_level(), tokenizer_config__json=config)
    assert load_tokenizer(tmp_path).chat(USER) == "old"
    (tmp_path / "chat_template.jinja").write_text("new é", encoding="utf-8")
    assert load_tokenizer(tmp_path).chat(USER) == "new é"


def test_named_templates_are_kept_apart(tmp_path: Path) -> None:
    named = [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]
    write_directory(tmp_path, byte_level(), tokenizer_config__json={"chat_template": named})
    tokenizer = load_tokenizer(tmp_path)
    assert (tokenizer.chat(USER), tokenizer.chat(USER, tools=[{"name": "f"}])) == ("d", "t")


def test_templates_of_their_own_files_are_read(tmp_path: Path) -> None:
    write_directory(tmp_path, byte_level())
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "tool_use.jinja").write_text("t")
    (tmp_path / "chat_template.jinja").write_text("d")
    assert load_tokenizer(tmp_path).chat(USER, tools=[{"name": "f"}]) == "t"


def test_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: the model has no tokenizer\.json"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("tokenizer.json", b"{", r"tokenizer\.json: "),
        ("tokenizer.json", b"\xff\xfe", r"tokenizer\.json: "),
        ("tokenizer_config.json", b"[]", r"tokenizer_config\.json: expected a JSON object"),
        ("tokenizer_config.json", b'{"chat_template": [1]}', "or objects with name and template"),
        ("special_tokens_map.json", b"x", r"special_tokens_map\.json: expected a JSON object"),
        ("generation_config.json", b'{"eos_token_id": "2"}', "eos_token_id: expected ids, got '2'"),
        ("generation_config.json", b'{"eos_token_id": [1.5]}', "eos_token_id: expected ids"),
        ("chat_template.jinja", b"\xff", r"chat_template\.jinja: 'utf-8' codec"),
    ],
)
def test_damaged_file_is_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    write_directory(tmp_path, byte_level())
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=message):
        load_tokenizer(tmp_path)


def test_an_end_without_text_names_the_folder(tmp_path: Path) -> None:
    config = {"eos_token": ""}
    write_directory(tmp_path, byte_level(), tokenizer_config__json=config)
    with pytest.raises(CheckpointError, match=rf"{tmp_path}: eos_token '' is not in"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("ids", [5, 5.5, True, 0, "1", {"1": 1}, None])
def test_ids_around_a_text_that_are_no_list_are_refused(tmp_path: Path, ids: object) -> None:
    library = byte_level()
    library.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
    )
    path = write_directory(tmp_path, library) / "tokenizer.json"
    document = json.loads(path.read_text())
    document["post_processor"]["special_tokens"]["<|im_start|>"]["ids"] = ids
    path.write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: .*PostProcessor"):
        load_tokenizer(tmp_path)
