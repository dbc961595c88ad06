"""What a folder of sentence-transformers says, and what it says wrongly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from foreign_adapters import foreign
from sentence_folders import MODULES, write_settings

import lmkernel as lk
from lmkernel.errors import CheckpointError
from lmkernel.inspection.sentence_settings import SentenceSettings, read_sentence_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode": "cls"}, "first"),
        ({"pooling_mode": ["lasttoken"]}, "last"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_max_tokens": False}, "mean"),
        ({}, "mean"),
    ],
)
def test_poolings_of_new_and_old_folders(
    config: dict[str, Any], pooling: str, tmp_path: Path
) -> None:
    write_settings(tmp_path, config)
    assert read_sentence_settings(tmp_path) == SentenceSettings(pooling, normalize=True)


@pytest.mark.parametrize(
    ("modules", "limit", "expected"),
    [
        (MODULES, 9, SentenceSettings("mean", normalize=True, limit=9)),
        (MODULES[:2], None, SentenceSettings("mean", normalize=False)),
        (MODULES[:1], None, SentenceSettings(None, normalize=False)),
    ],
)
def test_modules_and_limit(
    modules: tuple[str, ...], limit: int | None, expected: SentenceSettings, tmp_path: Path
) -> None:
    write_settings(tmp_path, {}, modules, max_seq_length=limit)
    assert read_sentence_settings(tmp_path) == expected


@pytest.mark.parametrize(("most", "limit"), [(9, 9), (99, 16), (10**30, 16), (None, None)])
def test_newer_folders_have_the_limit_with_the_tokenizer(
    most: int | None, limit: int | None, tmp_path: Path
) -> None:
    write_settings(tmp_path, {})
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": most}))
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 16}))
    assert read_sentence_settings(tmp_path).limit == limit


def test_a_folder_without_modules_says_nothing(tmp_path: Path) -> None:
    assert read_sentence_settings(tmp_path) == SentenceSettings()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"pooling_mode": "mode"}, "one of mean, cls, lasttoken, max, .* got 'mode'"),
        ({"pooling_mode": ["cls", "mode"]}, "one of mean, cls, .* got 'mode'"),
        ({"pooling_mode": []}, r"got \[\]"),
    ],
)
def test_poolings_that_are_not_done_here_are_named(
    config: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write_settings(tmp_path, config)
    with pytest.raises(CheckpointError, match=message):
        read_sentence_settings(tmp_path)


@pytest.mark.parametrize("place", ["/dev", "../1_Pooling", "a/b", "..", "a\\0b"])
def test_modules_elsewhere_are_refused(place: str, tmp_path: Path) -> None:
    listed = [{"type": "models.Pooling", "path": place.replace("\\0", "\0")}]
    (tmp_path / "modules.json").write_text(json.dumps(listed), "utf-8")
    with pytest.raises(CheckpointError, match=r"modules\.json: expected a folder beside"):
        read_sentence_settings(tmp_path)


def test_modules_that_are_not_done_here_are_named(tmp_path: Path) -> None:
    for modules, got in (
        (("", "1_Pooling", "2_WordWeights"), "'WordWeights' in '2_WordWeights'"),
        (("", "2_Normalize", "1_Pooling"), "'Pooling' in '1_Pooling'"),
        (("", "1_Pooling", "1_Pooling"), "'Pooling' in '1_Pooling'"),
    ):
        write_settings(tmp_path, {}, modules)
        with pytest.raises(CheckpointError, match=rf"modules\.json: .* got {got}"):
            read_sentence_settings(tmp_path)


def test_adapters_have_their_own_settings_or_those_of_their_model(tmp_path: Path) -> None:
    foreign(tmp_path)
    write_settings(tmp_path / "base", {"pooling_mode": "max"})
    assert read_sentence_settings(lk.load(tmp_path).files.sentence_folder).pooling == "max"
    write_settings(tmp_path, {"pooling_mode": "cls"})
    assert read_sentence_settings(lk.load(tmp_path).files.sentence_folder).pooling == "first"


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "8"])
def test_a_size_of_vectors_that_is_none_is_named(size: Any, tmp_path: Path) -> None:
    write_settings(tmp_path, {"pooling_mode": "mean"})
    about = tmp_path / "config_sentence_transformers.json"
    about.write_text(json.dumps({"truncate_dim": size}), "utf-8")
    with pytest.raises(CheckpointError, match="truncate_dim: expected 1 or more, got"):
        read_sentence_settings(tmp_path)


@pytest.mark.parametrize("limit", ["9", 0, True])
def test_a_limit_that_is_none_is_named(limit: Any, tmp_path: Path) -> None:
    write_settings(tmp_path, {}, max_seq_length=limit)
    with pytest.raises(CheckpointError, match=f"max_seq_length: expected 1 or more, got {limit!r}"):
        read_sentence_settings(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]", "[{}]", "7"])
def test_a_damaged_list_of_modules_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text(text, "utf-8")
    with pytest.raises(CheckpointError, match=r"modules\.json: expected (a JSON list|modules)"):
        read_sentence_settings(tmp_path)
