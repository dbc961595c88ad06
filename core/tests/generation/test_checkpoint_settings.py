"""What a checkpoint asks for when answers are made, and is not done, is said."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from small import small_config, values_of
from vocabulary_samples import byte_level

from lmkernel import load
from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.errors import CheckpointError
from lmkernel.families.llama import Llama
from lmkernel.families.names import from_ours
from lmkernel.generation.checkpoint import warn_of_settings
from lmkernel.model import Model
from lmkernel.tokenizers import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"repetition_penalty": 1.05}, "repetition_penalty=1.05"),
        ({"no_repeat_ngram_size": 3, "temperature": 0.7}, "no_repeat_ngram_size=3"),
        ({"suppress_tokens": [1, 2]}, r"suppress_tokens=\[1, 2\]"),
        ({"forced_eos_token_id": 2}, "forced_eos_token_id=2"),
        ({"num_beams": 4}, "num_beams=4"),
        ({"min_new_tokens": 2}, "min_new_tokens=2"),
        ({"stop_strings": "###"}, "stop_strings='###'"),
        ({"something_new": True}, "something_new=True"),
    ],
)
def test_what_would_change_a_greedy_answer_is_said(settings: dict[str, Any], named: str) -> None:
    with pytest.warns(UserWarning, match=f"x: generation_config.json: not used: {named}$"):
        warn_of_settings(settings, "x")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 20, "max_length": 4096},
        {"repetition_penalty": 1.0, "num_beams": 1, "no_repeat_ngram_size": 0, "min_length": 0},
        {"bos_token_id": 1, "eos_token_id": [2, 3], "pad_token_id": 0, "use_cache": True},
        {"suppress_tokens": None, "bad_words_ids": [], "token_healing": False},
        {"_from_model_config": True, "transformers_version": "4.40.0"},
    ],
)
def test_what_changes_nothing_is_not(settings: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_settings(settings, "x")


def folder(path: Path, settings: dict[str, Any], vocab: int = 0) -> Path:
    made = Tokenizer(byte_level(), {})
    config = small_config(vocab_size=vocab or made.vocab_size)
    model = Model(load_backend(), config)
    write_directory(
        path,
        config=Llama().write(config),
        tensors=from_ours(values_of(model), Llama().rules(config), model.declare()),
        tokenizer=made,
        generation_config=settings,
    )
    return path


@pytest.mark.parametrize(
    ("ids", "expected"),
    [(7, (7,)), ([7, 9], (7, 9)), (None, ()), (-1, ()), ([7, -1], (7,))],
)
def test_ids_that_end_an_answer_are_one_or_several(
    tmp_path: Path, ids: object, expected: tuple[int, ...]
) -> None:
    assert load(folder(tmp_path / "m", {"eos_token_id": ids})).end_ids == expected


@pytest.mark.parametrize("ids", ["7", [7, "9"], -1.0, True, [None], {"a": 1}])
def test_other_ends_are_refused(tmp_path: Path, ids: object) -> None:
    with pytest.raises(
        CheckpointError, match=r"generation_config.json: eos_token_id: expected ids"
    ):
        _ = load(folder(tmp_path / "m", {"eos_token_id": ids})).end_ids


@pytest.mark.parametrize(
    ("ids", "expected", "said"),
    [
        (9000, (), "9000"),
        ([7, 9000], (7,), "9000"),
        ([337, 7, 338], (7,), r"\[337, 338\]"),
        ([*range(337, 9000)], (), r"\[337, 338, [\d, ]+, \.\.\.\]"),
    ],
)
def test_ends_beyond_the_vocabulary_are_named_and_end_nothing(
    tmp_path: Path, ids: object, expected: tuple[int, ...], said: str
) -> None:
    model = load(folder(tmp_path / "m", {"eos_token_id": ids}))
    assert model.config.vocab == 337
    model.logits([1, 2])
    whole = (
        rf"m: generation_config\.json: eos_token_id: expected ids of tokens, 0 … 336, got {said}:"
    )
    with pytest.warns(UserWarning, match=whole):
        answer = model.generate("a", max_new_tokens=3, min_new_tokens=2, temperature=0)
    assert model.end_ids == expected
    assert 1 <= len(answer.tokens) <= 3


def test_the_file_that_names_them_is_named(tmp_path: Path) -> None:
    path = folder(tmp_path / "m", {})
    document = json.loads((path / "config.json").read_text("utf-8"))
    (path / "config.json").write_text(json.dumps({**document, "eos_token_id": [3, 4000]}), "utf-8")
    with pytest.warns(UserWarning, match=r"m: config\.json: eos_token_id: .*got 4000: no answer"):
        assert load(path).end_ids == (3,)


def test_a_tokenizers_own_end_is_named_too(tmp_path: Path) -> None:
    last = Tokenizer(byte_level(), {}).token(336)
    made = Tokenizer(byte_level(), {"eos_token": last})
    path = folder(tmp_path / "m", {}, made.vocab_size - 1)
    made.save(path)
    with pytest.warns(UserWarning, match=r"m: eos_token of the tokenizer: expected ids of tokens"):
        assert load(path).end_ids == ()


def test_it_is_said_when_the_first_answer_is_asked_for(tmp_path: Path) -> None:
    model = load(folder(tmp_path / "m", {"repetition_penalty": 1.2}))
    model.logits([1, 2])
    with pytest.warns(UserWarning, match="repetition_penalty=1.2"):
        model.generate("a", max_new_tokens=1)
